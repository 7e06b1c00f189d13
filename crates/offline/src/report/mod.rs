//! The report pages of an evaluation and of a session. Each is one file without scripts, and loads nothing from a network.

mod calibration;
mod channels;
mod figures;
mod parts;
mod plot;
mod provenance;
mod session;
mod traces;

use maud::{DOCTYPE, Markup, PreEscaped, html};
pub use provenance::Origin;
pub use session::{SessionPageError, page_beside, write_session_page};

use crate::evaluation::comparison::{Comparison, Intervals};

const STYLE: &str = include_str!("style.css");

/// Sections of the page: anchor, heading, content.
type Section = (&'static str, &'static str, Markup);

/// The whole page.
///
/// # Errors
/// When a file that the figures come from cannot be read again for its hash.
pub fn page(origin: &Origin<'_>, comparison: &Comparison, intervals: &Intervals) -> anyhow::Result<String> {
    let sections: [Section; 7] = [
        ("accuracy", "Accuracy", figures::accuracy(comparison, intervals)),
        ("traces", "Decoded and true", traces::decoded_and_true(comparison)),
        ("errors", "Error over time", traces::errors_over_time(comparison)),
        ("calibration", "Calibration", calibration::section(comparison)),
        ("robustness", "Robustness", channels::section(comparison)),
        ("fits", "What each fit chose", figures::fits(comparison)),
        ("provenance", "Provenance", provenance::section(origin, comparison)?),
    ];
    let names: Vec<String> = comparison.decoders.iter().map(|decoder| decoder.spec.to_string()).collect();
    let intro = html! {
        p { (figures::summary(comparison)) }
        @if let Some(note) = origin.note { p { strong { (note) } } }
    };
    Ok(framed(&names.join(", "), "Decoders on held-out rows", &intro, &sections))
}

/// A page: what its tab is called, its heading, an introduction, and its sections.
fn framed(title: &str, heading: &str, intro: &Markup, sections: &[Section]) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                title { "Kalmind: " (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { (heading) }
                    (intro)
                    nav aria-label="Sections" {
                        @for (anchor, heading, _) in sections { a href={ "#" (anchor) } { (heading) } " " }
                    }
                }
                main {
                    @for (anchor, heading, content) in sections {
                        section id=(anchor) aria-labelledby={ (anchor) "-heading" } {
                            h2 id={ (anchor) "-heading" } { (heading) }
                            (content)
                        }
                        "\n"
                    }
                }
            }
        }
    };
    page.into_string() + "\n"
}
