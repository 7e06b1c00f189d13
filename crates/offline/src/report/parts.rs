//! What pages are made of: numbers, cells and tables.

use maud::{Markup, html};

/// A number with `digits` behind the point and a true minus; a dash where it is none.
pub(super) fn number(value: f64, digits: usize) -> String {
    if value.is_nan() {
        return "–".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "∞" } else { "−∞" }.to_owned();
    }
    let text = format!("{:.digits$}", value.abs());
    let is_zero = text.chars().all(|character| matches!(character, '0' | '.'));
    if value < 0.0 && !is_zero { format!("−{text}") } else { text }
}

/// A cell of a table.
#[expect(clippy::needless_pass_by_value, reason = "most callers make the text for the cell alone")]
pub(super) fn cell(text: impl ToString) -> Markup {
    html! { (text.to_string()) }
}

/// A cell with a second line in small.
pub(super) fn cell_over(text: &str, small: &str) -> Markup {
    html! { (text) small { (small) } }
}

/// A cell with a hash.
pub(super) fn code(text: &str) -> Markup {
    html! { code { (text) } }
}

/// A row of a table, and whether it is the one that was chosen.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) cells: Vec<Markup>,
    pub(super) chosen: bool,
}

impl From<Vec<Markup>> for Row {
    fn from(cells: Vec<Markup>) -> Self {
        Self { cells, chosen: false }
    }
}

/// A table. The first cell of each row is its head; columns listed in `texts` are aligned left.
pub(super) fn table(
    caption: &str,
    heads: &[&str],
    texts: &[usize],
    rows: impl IntoIterator<Item = impl Into<Row>>,
) -> Markup {
    let class = |column: usize| texts.contains(&column).then_some("text");
    html! {
        div class="scroll" role="group" aria-label=(caption) tabindex="0" {
            table {
                caption { (caption) }
                thead { tr {
                    @for (column, head) in heads.iter().enumerate() {
                        th scope="col" class=[class(column)] { (head) }
                    }
                } }
                tbody {
                    @for row in rows.into_iter().map(Into::into) {
                        tr class=[row.chosen.then_some("chosen")] {
                            @for (column, cell) in row.cells.iter().enumerate() {
                                @if column == 0 { th scope="row" { (cell) } }
                                @else { td class=[class(column)] { (cell) } }
                            }
                        }
                        "\n"
                    }
                }
            }
        }
    }
}

/// Names and values.
pub(super) fn facts<Name: AsRef<str>>(facts: impl IntoIterator<Item = (Name, String)>) -> Markup {
    html! {
        dl {
            @for (name, value) in facts {
                dt { (name.as_ref()) } dd { (value) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_become_markup() {
        let page = table("<b>", &["a&b"], &[0], [vec![cell("<script>\"a\" & b</script>")]]).into_string();
        assert!(
            page.contains("<th scope=\"row\">&lt;script&gt;&quot;a&quot; &amp; b&lt;/script&gt;</th>"),
            "{page}"
        );
        assert!(page.contains("aria-label=\"&lt;b&gt;\"") && page.contains(">a&amp;b</th>"), "{page}");
    }

    #[test]
    fn numbers_have_a_minus_but_no_minus_zero() {
        assert_eq!(number(-0.25, 1), "−0.2");
        assert_eq!(number(-0.0001, 2), "0.00");
        assert_eq!(number(f64::NAN, 2), "–");
        assert_eq!(number(f64::NEG_INFINITY, 2), "−∞");
    }
}
