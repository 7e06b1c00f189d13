//! Which values a key allows, beyond their type.

/// Which values of a type are allowed; one rule a key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Rule {
    /// Any finite number; any text of 1 to 1024 characters without control characters.
    Any,
    /// Text as of [`Rule::Any`], or none at all: a unit.
    Unit,
    /// A number from the first to the second, both included.
    Between(f64, f64),
    /// Letters, digits, space, `-`, `_` and `.`, 1 to 64 characters: what may stand in the name of a file.
    FileSafeName,
    /// An age as an ISO 8601 duration (`P34Y`).
    Age,
    /// A secret of 16 to 128 letters, digits, `-`, `_` and `.`: what a WebSocket subprotocol can carry.
    Token,
    /// Letters, digits, `-`, `_` and `.`, 1 to 64 characters: what LSL's settings and queries can carry.
    SessionId,
    /// Scheme, host and, where it is not the scheme's own, port (`https://console.example:8443`); or `null`, or `file:`.
    Origin,
    /// A name or an address of a machine, without a port.
    Machine,
    /// Host, and port where it is not 80 (`console.example:8765`).
    Host,
}

impl Rule {
    /// What would be right, with the unit that the key's name ends in.
    pub(super) fn wanted(&self, key: &str) -> String {
        match self {
            Self::Any => "a finite number".to_owned(),
            Self::Unit => "of 0 to 1024 characters".to_owned(),
            Self::Between(low, high) => format!("from {low} to {high}{}", unit_of(key)),
            Self::FileSafeName => {
                "1 to 64 letters, digits, spaces, '-', '_' and '.', the first a letter or a digit".to_owned()
            }
            Self::Age => {
                "an ISO 8601 duration: P, a number and Y, M, W or D, as in \"P34Y\" or \"P18M\"".to_owned()
            }
            Self::Token => "16 to 128 letters, digits, '-', '_' and '.'".to_owned(),
            Self::SessionId => "1 to 64 letters, digits, '-', '_' and '.'".to_owned(),
            Self::Origin => {
                "scheme and host, as in \"https://console.example:8443\", nothing after it; or \"file:\", or \"null\""
                    .to_owned()
            }
            Self::Machine => "a machine's name or address, without a port".to_owned(),
            Self::Host => "host and port, as in \"console.example:8765\", no scheme and no path".to_owned(),
        }
    }

    /// What would be right for a text.
    pub(super) fn wanted_of_text(&self) -> String {
        match self {
            Self::Any => "text of 1 to 1024 characters without control characters".to_owned(),
            Self::Unit => "text of 0 to 1024 characters without control characters".to_owned(),
            _ => self.wanted(""),
        }
    }

    /// The rule as the reference states it; none where the type says it all.
    pub(super) fn documented(&self, key: &str) -> Option<String> {
        (*self != Self::Any).then(|| self.wanted(key))
    }

    /// Whether a finite number is allowed.
    pub(super) fn allows(&self, number: f64) -> bool {
        match self {
            Self::Between(low, high) => (*low..=*high).contains(&number),
            _ => true,
        }
    }

    /// What is wrong with a text, if anything.
    pub(super) fn objection_to_text(&self, text: &str) -> Option<String> {
        if text.is_empty() && *self != Self::Unit {
            return Some("is empty".to_owned());
        }
        if let Some(control) = text.chars().find(|character| character.is_control()) {
            return Some(format!("holds the control character {control:?}"));
        }
        if text.chars().count() > 1024 {
            return Some("is longer than 1024 characters".to_owned());
        }
        let fits = match self {
            Self::Any | Self::Unit | Self::Between(..) => true,
            Self::FileSafeName => is_file_safe(text),
            Self::Age => is_age(text),
            Self::Token => {
                let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
                (16..=128).contains(&text.len()) && text.bytes().all(fits)
            }
            Self::SessionId => {
                let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
                text.len() <= 64 && text.bytes().all(fits)
            }
            Self::Origin => matches!(text, "null" | "file:" | "file://") || is_origin(text),
            Self::Machine => is_machine(text),
            Self::Host => is_host(text),
        };
        (!fits).then(|| "has the wrong format".to_owned())
    }
}

/// The unit that a key's name ends in, with a space before it; empty where there is none.
pub(super) fn unit_of(key: &str) -> &'static str {
    const UNITS: [(&str, &str); 6] = [
        ("_per_s", " per second"),
        ("_ms", " ms"),
        ("_hz", " Hz"),
        ("_uv", " \u{b5}V"),
        ("_bytes", " bytes"),
        ("_s", " s"),
    ];
    UNITS.iter().find(|(suffix, _)| key.ends_with(suffix)).map_or("", |(_, unit)| unit)
}

fn is_file_safe(text: &str) -> bool {
    let allowed = |character: char| character.is_ascii_alphanumeric() || " -_.".contains(character);
    text.len() <= 64
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.chars().all(allowed)
        && !text.ends_with(' ')
}

fn is_age(text: &str) -> bool {
    text.strip_prefix('P').and_then(|rest| rest.strip_suffix(['Y', 'M', 'W', 'D'])).is_some_and(|number| {
        (1..=4).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// A scheme (RFC 3986, 3.1) and a host: of a web page, an extension of a browser, or an app in a frame of one.
fn is_origin(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, host)| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(allowed)
            && is_host(host)
    })
}

/// A name or an IP address, and a port after a colon or none.
fn is_host(text: &str) -> bool {
    let (name, rest) = if let Some(bracketed) = text.strip_prefix('[') {
        let Some((address, rest)) = bracketed.split_once(']') else { return false };
        if address.parse::<std::net::Ipv6Addr>().is_err() {
            return false;
        }
        (address, rest)
    } else {
        text.split_at(text.find(':').unwrap_or(text.len()))
    };
    let port = rest.is_empty()
        || rest.strip_prefix(':').and_then(|port| port.parse::<u16>().ok()).is_some_and(|port| port > 0);
    is_machine(name) && port
}

fn is_machine(text: &str) -> bool {
    let allowed = |character: char| character.is_ascii_alphanumeric() || "-._:".contains(character);
    !text.is_empty() && text.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_have_a_name_and_at_most_a_port() {
        for good in ["localhost", "localhost:8765", "10.0.0.1:80", "[::1]:8765", "console.example"] {
            assert!(is_host(good), "{good}");
        }
        for bad in ["", ":80", "a:0", "a:70000", "a/b", "http://a", "[::1", "[zz]:1", "a b", "a:1:2"] {
            assert!(!is_host(bad), "{bad}");
        }
    }

    #[test]
    fn origins_have_a_scheme_and_nothing_after_the_host() {
        let objection = |text| Rule::Origin.objection_to_text(text);
        for good in [
            "https://console.example:8443",
            "http://[::1]:3000",
            "chrome-extension://abc",
            "file:",
            "file://",
            "null",
        ] {
            assert_eq!(objection(good), None, "{good}");
        }
        for bad in [
            "console.example",
            "https://",
            "https://a/",
            "://a",
            "ht tp://a",
            "*",
            "https://*",
            "nul",
            "file:///a",
        ] {
            assert!(objection(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn what_the_rules_take_their_users_take_too() {
        let letters = "aZ09-_.";
        for text in
            [letters, "-leading", ".", "a", "two words", "a;b", "a\u{e4}", "a=b", "a{b}", &letters.repeat(18)]
        {
            for text in [text.to_owned(), text.repeat(16), text.chars().cycle().take(128).collect()] {
                let session = kalmind_acquisition::NetworkConfig::loopback(text.as_str());
                if Rule::SessionId.objection_to_text(&text).is_none() {
                    assert_eq!(session.validate(), Ok(()), "{text}");
                } else {
                    assert!(session.validate().is_err() || text.len() > 64, "{text}");
                }
                let token = kalmind_output::Token::new(text.as_str());
                assert_eq!(Rule::Token.objection_to_text(&text).is_none(), token.is_ok(), "{text}");
            }
        }
    }

    #[test]
    fn ages_are_durations() {
        for good in ["P34Y", "P18M", "P3W", "P120D"] {
            assert!(is_age(good), "{good}");
        }
        for bad in ["34", "P", "PY", "P34", "34Y", "P3.5Y", "P12345Y"] {
            assert!(!is_age(bad), "{bad}");
        }
    }

    #[test]
    fn units_come_from_the_end_of_the_name() {
        assert_eq!(unit_of("bin_ms"), " ms");
        assert_eq!(unit_of("max_messages_per_s"), " per second");
        assert_eq!(unit_of("rate_tolerance"), "");
    }
}
