//! Charts as SVG: axes, lines, bands and dots, one colour and one dash to a decoder.

use std::fmt::Write as _;

use maud::{Markup, PreEscaped, html};

use super::parts::number;

/// Colours that `style.css` names.
const COLOURS: usize = 8;
/// Dashes, so that lines can be told apart without colour; a decoder's is the one at its number.
const DASHES: [&str; 5] = ["", "7 3", "2 2", "9 3 2 3", "4 2"];
/// Space around the data.
const LEFT: f64 = 58.0;
const RIGHT: f64 = 22.0;
const TOP: f64 = 8.0;
const BOTTOM: f64 = 36.0;

/// Colour of a decoder, as a value for style attributes.
pub(super) fn colour(series: usize) -> String {
    format!("var(--series-{})", series % COLOURS)
}

fn dash(series: usize) -> &'static str {
    // beside the colours' cycle of 8, so that no pair of decoders looks alike before the 40th
    DASHES[series % DASHES.len()]
}

/// The style of a decoder's line.
fn stroke(series: usize) -> String {
    format!("stroke:{};stroke-dasharray:{}", colour(series), dash(series))
}

/// The names of decoders beside their lines.
pub(super) fn legend(names: &[String], with_truth: bool) -> Markup {
    let item = |class: &str, style: &str, name: &str| {
        html! {
            li {
                svg width="32" height="8" viewBox="0 0 32 8" aria-hidden="true" {
                    path class=(class) style=(style) d="M0 4H32" {}
                }
                (name)
            }
        }
    };
    html! {
        ul class="legend" {
            @if with_truth { (item("truth", "", "truth")) }
            @for (series, name) in names.iter().enumerate() { (item("line", &stroke(series), name)) }
        }
    }
}

/// The names of decoders beside their dots.
pub(super) fn dot_legend(names: &[String]) -> Markup {
    html! {
        ul class="legend" {
            @for (series, name) in names.iter().enumerate() {
                li {
                    svg width="12" height="12" viewBox="0 0 12 12" aria-hidden="true" { (mark(series, 6.0, 6.0)) }
                    (name)
                }
            }
        }
    }
}

/// The mark of a decoder: circle, square, diamond or triangle, in its colour.
fn mark(series: usize, x: f64, y: f64) -> Markup {
    let at = |value: f64| format!("{value:.1}");
    let style = format!("fill:{}", colour(series));
    html! {
        @match series % 4 {
            0 => circle cx=(at(x)) cy=(at(y)) r="4" class="dot" style=(style) {},
            1 => rect x=(at(x - 3.5)) y=(at(y - 3.5)) width="7" height="7" class="dot" style=(style) {},
            2 => path d={ "M" (at(x)) " " (at(y - 5.0)) "l5 5l-5 5l-5 -5Z" } class="dot" style=(style) {},
            _ => path d={ "M" (at(x)) " " (at(y - 5.0)) "l5 8h-10Z" } class="dot" style=(style) {},
        }
    }
}

/// A chart under construction. Points outside the ranges are cut off at the frame.
#[derive(Debug)]
pub(super) struct Plot {
    width: f64,
    height: f64,
    left: f64,
    x: (f64, f64),
    y: (f64, f64),
    title: String,
    body: String,
}

impl Plot {
    /// An empty chart of so many pixels; `title` says what it shows to those who cannot see it.
    pub(super) fn new(title: &str, (width, height): (f64, f64), x: (f64, f64), y: (f64, f64)) -> Self {
        let (title, body) = (title.to_owned(), String::new());
        Self { width, height, left: LEFT, x: widened(x), y: widened(y), title, body }
    }

    /// A chart with one row to each label, from the top: row i is at `labels.len() - i - 0.5`.
    pub(super) fn rows(title: &str, width: f64, x: (f64, f64), labels: &[&str], x_name: &str) -> Self {
        const ROW: f64 = 18.0;
        const LABEL: usize = 20;
        let count = labels.len() as f64;
        let mut plot = Self::new(title, (width, count * ROW + TOP + BOTTOM), x, (0.0, count));
        plot.left = 40.0
            + 7.0 * labels.iter().map(|label| label.chars().count().min(LABEL)).max().unwrap_or(0) as f64;
        let (right, bottom) = (plot.width - RIGHT, plot.height - BOTTOM);
        plot.x_axis(x_name);
        for (index, label) in labels.iter().enumerate() {
            let y = plot.at_y(count - index as f64 - 0.5);
            let short: String = if label.chars().count() > LABEL {
                label.chars().take(LABEL - 1).chain(['…']).collect()
            } else {
                (*label).to_owned()
            };
            plot.row(y, &short);
        }
        let frame = format!("M{} {TOP}V{bottom}H{right}", plot.left);
        plot.add(html! { path class="frame" d=(frame) {} });
        plot
    }

    fn add(&mut self, part: Markup) {
        self.body.push_str(&part.into_string());
    }

    /// A line across at height `y`, and a text beside it.
    fn row(&mut self, y: f64, text: &str) {
        let line = format!("M{} {y:.1}H{}", self.left, self.width - RIGHT);
        let (text_x, text_y) = (format!("{:.1}", self.left - 6.0), format!("{:.1}", y + 4.0));
        self.add(html! {
            path class="grid" d=(line) {}
            text x=(text_x) y=(text_y) text-anchor="end" { (text) }
        });
    }

    fn at_x(&self, x: f64) -> f64 {
        self.left + (x - self.x.0) / (self.x.1 - self.x.0) * (self.width - self.left - RIGHT)
    }

    fn at_y(&self, y: f64) -> f64 {
        self.height - BOTTOM - (y - self.y.0) / (self.y.1 - self.y.0) * (self.height - TOP - BOTTOM)
    }

    /// Frame, ticks and names of both axes.
    pub(super) fn axes(mut self, x_name: &str, y_name: &str) -> Self {
        self.x_axis(x_name);
        let bottom = self.height - BOTTOM;
        for (tick, text) in ticks(self.y, (self.height / 45.0) as usize) {
            self.row(self.at_y(tick), &text);
        }
        let frame = format!("M{} {TOP}V{bottom}H{}", self.left, self.width - RIGHT);
        let turned = format!("translate(12 {:.1}) rotate(-90)", 0.5 * (TOP + bottom));
        self.add(html! {
            path class="frame" d=(frame) {}
            text transform=(turned) text-anchor="middle" { (y_name) }
        });
        self
    }

    fn x_axis(&mut self, name: &str) {
        let bottom = self.height - BOTTOM;
        for (tick, text) in ticks(self.x, (self.width / 75.0) as usize) {
            let x = format!("{:.1}", self.at_x(tick));
            self.add(html! {
                path class="grid" d={ "M" (x) " " (TOP) "V" (bottom) } {}
                text x=(x) y=(format!("{:.1}", bottom + 13.0)) text-anchor="middle" { (text) }
            });
        }
        let middle = format!("{:.1}", 0.5 * (self.left + self.width - RIGHT));
        let below = format!("{:.1}", self.height - 6.0);
        self.add(html! { text x=(middle) y=(below) text-anchor="middle" { (name) } });
    }

    /// The line of a decoder.
    pub(super) fn line(self, series: usize, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        self.path("line", Some(&stroke(series)), points)
    }

    /// The line of a decoder, without dashes: where it is the only one.
    pub(super) fn solid(self, series: usize, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        self.path("line", Some(&format!("stroke:{}", colour(series))), points)
    }

    /// The line of the truth.
    pub(super) fn truth(self, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        self.path("truth", None, points)
    }

    /// A line to compare with.
    pub(super) fn reference(self, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        self.path("reference", None, points)
    }

    fn path(
        mut self,
        class: &str,
        style: Option<&str>,
        points: impl IntoIterator<Item = (f64, f64)>,
    ) -> Self {
        let mut line = String::new();
        let mut pen_is_up = true;
        for (x, y) in points {
            if !(x.is_finite() && y.is_finite()) {
                pen_is_up = true;
                continue;
            }
            let (x, y) = (self.at_x(x), self.at_y(y.clamp(self.y.0, self.y.1)));
            let _infallible = write!(line, "{}{x:.1} {y:.1}", if pen_is_up { 'M' } else { 'L' });
            pen_is_up = false;
        }
        self.add(html! { path class=(class) style=[style] d=(line) {} });
        self
    }

    /// An area between two lines over the same places: (x, low, high).
    pub(super) fn band(mut self, series: usize, points: &[(f64, f64, f64)]) -> Self {
        let kept = |value: f64| self.at_y(value.clamp(self.y.0, self.y.1));
        let upper = points.iter().map(|&(x, _, high)| (self.at_x(x), kept(high)));
        let lower = points.iter().rev().map(|&(x, low, _)| (self.at_x(x), kept(low)));
        let mut area = String::new();
        for (index, (x, y)) in upper.chain(lower).enumerate() {
            let _infallible = write!(area, "{}{x:.1} {y:.1}", if index == 0 { 'M' } else { 'L' });
        }
        area.push('Z');
        self.add(html! { path class="band" style={ "fill:" (colour(series)) } d=(area) {} });
        self
    }

    /// A dot of a decoder, with what it says when pointed at.
    pub(super) fn dot(mut self, series: usize, x: f64, y: f64, says: &str) -> Self {
        let (x, y) = (self.at_x(x.clamp(self.x.0, self.x.1)), self.at_y(y));
        self.add(html! { g { (mark(series, x, y)) title { (says) } } });
        self
    }

    /// The chart.
    pub(super) fn svg(self) -> Markup {
        let (width, height) = (self.width.to_string(), self.height.to_string());
        html! {
            svg viewBox={ "0 0 " (width) " " (height) } width=(width) height=(height) role="img" aria-label=(self.title) {
                title { (self.title) }
                (PreEscaped(self.body))
            }
        }
    }
}

/// A chart with a caption.
pub(super) fn figure(chart: &Markup, caption: &str) -> Markup {
    html! {
        figure tabindex="0" {
            (chart)
            @if !caption.is_empty() { figcaption { (caption) } }
        }
    }
}

/// A range of finite values with some space around; 0 to 1 without any.
pub(super) fn range_of(values: impl IntoIterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values
        .into_iter()
        .filter(|value| value.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    if low > high {
        return (0.0, 1.0);
    }
    let space = 0.05 * (high - low);
    (low - space, high + space)
}

/// A range that is none is opened.
fn widened((low, high): (f64, f64)) -> (f64, f64) {
    if high > low {
        (low, high)
    } else {
        let space = 0.5 * low.abs().max(1.0);
        (low - space, high + space)
    }
}

/// About `count` round numbers within a range, and how they are written.
fn ticks((low, high): (f64, f64), count: usize) -> Vec<(f64, String)> {
    let rough = (high - low) / count.max(2) as f64;
    let power = 10.0_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|part| part * power).into_iter().find(|step| *step >= rough);
    let step = step.unwrap_or(rough);
    let digits = (-step.log10().floor()).max(0.0) as usize;
    let first = (low / step).ceil();
    let last = (high / step + 1e-9).floor();
    let mut at = first;
    let mut ticks = Vec::new();
    while at <= last && ticks.len() < 50 {
        let value = at * step;
        ticks.push((value, number(value, digits)));
        at += 1.0;
    }
    ticks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_within() {
        let texts = |range, count| ticks(range, count).into_iter().map(|(_, text)| text).collect::<Vec<_>>();
        assert_eq!(texts((-0.11, 0.32), 4), ["−0.0", "0.2"].map(|text| text.replace("−0.0", "0.0")));
        assert_eq!(texts((0.0, 1.0), 5), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(texts((5000.0, 5200.0), 4), ["5000", "5050", "5100", "5150", "5200"]);
    }

    #[test]
    fn lines_are_broken_where_there_is_no_number() {
        let points = [(0.0, 0.0), (1.0, f64::NAN), (2.0, 1.0), (3.0, 1.0)];
        let svg = Plot::new("a \"chart\"", (200.0, 100.0), (0.0, 3.0), (0.0, 1.0))
            .truth(points)
            .svg()
            .into_string();
        assert_eq!(svg.matches('M').count(), 2, "{svg}");
        assert!(!svg.contains("NaN") && svg.contains("aria-label=\"a &quot;chart&quot;\""), "{svg}");
    }

    #[test]
    fn a_range_without_extent_is_opened() {
        assert_eq!(range_of([2.0, 2.0]), (2.0, 2.0));
        let svg =
            Plot::new("", (200.0, 100.0), range_of([2.0]), range_of([])).axes("x", "y").svg().into_string();
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}
