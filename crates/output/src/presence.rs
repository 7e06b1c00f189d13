//! Which consoles are there, and when the one that is in charge of the session is lost. Pure: times are handed in.

use kalmind_types::{LslTime, Seconds};

/// A console that has answered nothing for so long is lost. One that is loaded anew comes back sooner. The output has to
/// stand still 5.5 s after a page was lost, on a busy machine too: this leaves most of a second for looking, telling and
/// showing it.
const LOST_AFTER: Seconds = Seconds(4.5);
/// Consoles that are watched over; each has at least one connection, or had one a moment ago.
const MOST: usize = 256;

/// The consoles that have given a sign of life.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    consoles: Vec<Console>,
}

#[derive(Debug)]
struct Console {
    name: String,
    /// Until when one of its connections has answered everything.
    heard: LslTime,
    /// Whether its loss has been told.
    lost: bool,
}

impl Presence {
    /// Whether there is any console to watch over.
    pub(crate) fn any(&self) -> bool {
        !self.consoles.is_empty()
    }

    /// A connection of the console has answered everything until then. `false` where there are too many to watch over.
    pub(crate) fn heard(&mut self, name: &str, until: LslTime) -> bool {
        if let Some(console) = self.consoles.iter_mut().find(|console| console.name == name) {
            if until > console.heard {
                console.heard = until;
            }
            return true;
        }
        let room = self.consoles.len() < MOST;
        if room {
            self.consoles.push(Console { name: String::from(name), heard: until, lost: false });
        }
        room
    }

    /// Whether the console in charge is lost and that has not been told; now it has been. Those that have left and are not
    /// in charge are forgotten. One that never gave a sign of life, as a script, is never lost.
    pub(crate) fn lost(&mut self, in_charge: Option<&str>, now: LslTime) -> bool {
        let gone = |console: &Console| (now - console.heard).0 >= LOST_AFTER.0;
        self.consoles.retain(|console| in_charge == Some(&console.name) || !gone(console));
        let console = self.consoles.iter_mut().find(|console| in_charge == Some(&console.name));
        console.is_some_and(|console| {
            let told = console.lost;
            console.lost = gone(console);
            console.lost && !told
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: Option<&str> = Some("page");

    #[test]
    fn a_page_in_charge_is_lost_after_4_5_s_told_once_and_again_after_it_came_back() {
        let mut presence = Presence::default();
        assert!(presence.heard("page", LslTime(10.0)));
        assert!(!presence.lost(PAGE, LslTime(14.4)));
        assert!(presence.lost(PAGE, LslTime(14.5)));
        assert!(!presence.lost(PAGE, LslTime(14.7)), "told already");
        assert!(presence.heard("page", LslTime(20.0)));
        assert!(!presence.lost(PAGE, LslTime(20.0)));
        assert!(presence.lost(PAGE, LslTime(24.5)));
    }

    #[test]
    fn a_page_that_is_loaded_anew_or_has_a_second_connection_is_not_lost() {
        let mut presence = Presence::default();
        presence.heard("page", LslTime(10.0));
        presence.heard("page", LslTime(14.0));
        // of a connection that hangs
        presence.heard("page", LslTime(9.0));
        assert!(!presence.lost(PAGE, LslTime(18.4)));
    }

    #[test]
    fn a_script_and_a_page_that_is_not_in_charge_are_never_lost_nor_kept() {
        let mut presence = Presence::default();
        assert!(!presence.lost(Some("script"), LslTime(100.0)));
        presence.heard("page", LslTime(10.0));
        assert!(!presence.lost(Some("script"), LslTime(16.0)));
        assert!(!presence.any());
        // it is in charge once more, without a connection: as a script
        assert!(!presence.lost(PAGE, LslTime(17.0)));
    }

    #[test]
    fn more_than_can_be_watched_over_are_refused_until_others_have_left() {
        let mut presence = Presence::default();
        for number in 0..MOST {
            assert!(presence.heard(&number.to_string(), LslTime(1.0)));
        }
        assert!(!presence.heard("page", LslTime(1.0)));
        assert!(!presence.lost(None, LslTime(7.0)));
        assert!(presence.heard("page", LslTime(7.0)));
    }
}
