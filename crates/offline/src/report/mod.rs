//! The report pages of an evaluation and of a session. Each is one file without scripts, and loads nothing from a network.

mod calibration;
mod channels;
mod markup;
mod plot;
mod provenance;
mod session;
mod tables;
mod traces;

use std::fmt::Write as _;

use markup::Escaped;
pub use session::{SessionPageError, page_beside, write_session_page};

use crate::{
    evaluation::comparison::{Comparison, Intervals},
    options::EvaluateOptions,
};

const STYLE: &str = include_str!("style.css");

/// Sections of the page: anchor, heading, content.
type Section = (&'static str, &'static str, String);

/// Where the figures of a page come from.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// What was asked for.
    pub options: &'a EvaluateOptions,
    /// The command line, the program first.
    pub command: &'a [String],
    /// What the figures do not say.
    pub note: Option<&'a str>,
}

/// The whole page.
///
/// # Errors
/// When a file that the figures come from cannot be read again for its hash.
pub fn page(origin: &Origin<'_>, comparison: &Comparison, intervals: &Intervals) -> anyhow::Result<String> {
    let sections: [Section; 7] = [
        ("accuracy", "Accuracy", tables::accuracy(comparison, intervals)),
        ("traces", "Decoded and true", traces::decoded_and_true(comparison)),
        ("errors", "Error over time", traces::errors_over_time(comparison)),
        ("calibration", "Calibration", calibration::section(comparison)),
        ("robustness", "Robustness", channels::section(comparison)),
        ("fits", "What each fit chose", tables::fits(comparison)),
        ("provenance", "Provenance", provenance::section(origin, comparison)?),
    ];
    let names: Vec<String> = comparison.decoders.iter().map(|decoder| decoder.spec.to_string()).collect();
    let note = origin.note.map(|note| format!("<p><strong>{}</strong></p>\n", Escaped(note)));
    let intro = format!("<p>{}</p>\n{}", tables::summary(comparison), note.unwrap_or_default());
    Ok(framed(&names.join(", "), "Decoders on held-out rows", &intro, &sections))
}

/// A page: what its tab is called, its heading, an introduction that is HTML already, and its sections.
fn framed(title: &str, heading: &str, intro: &str, sections: &[Section]) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>Kalmind: {}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<header>\n<h1>{}</h1>\n\
         {intro}<nav aria-label=\"Sections\">",
        Escaped(title),
        Escaped(heading),
    );
    for (anchor, heading, _) in sections {
        let _infallible = write!(page, "<a href=\"#{anchor}\">{heading}</a> ");
    }
    page.push_str("</nav>\n</header>\n<main>\n");
    for (anchor, heading, content) in sections {
        let _infallible = writeln!(
            page,
            "<section id=\"{anchor}\" aria-labelledby=\"{anchor}-heading\">\n<h2 id=\"{anchor}-heading\">{heading}</h2>\n\
             {content}\n</section>"
        );
    }
    page.push_str("</main>\n</body>\n</html>\n");
    page
}
