//! Text and numbers as HTML and SVG.

use std::fmt;

/// Text that comes from files and command lines, safe between tags and within quotes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => formatter.write_str("&amp;")?,
                '<' => formatter.write_str("&lt;")?,
                '>' => formatter.write_str("&gt;")?,
                '"' => formatter.write_str("&quot;")?,
                '\'' => formatter.write_str("&#39;")?,
                other => fmt::Write::write_char(formatter, other)?,
            }
        }
        Ok(())
    }
}

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

/// A table: heads, and rows of cells that are HTML already. The first cell of each row is its head; columns listed in
/// `texts` are aligned left.
pub(super) fn table(
    caption: &str,
    heads: &[&str],
    texts: &[usize],
    rows: impl IntoIterator<Item = (&'static str, Vec<String>)>,
) -> String {
    use fmt::Write as _;
    let class = |column: usize| if texts.contains(&column) { " class=\"text\"" } else { "" };
    let mut html = format!(
        "<div class=\"scroll\" role=\"group\" aria-label=\"{caption}\" tabindex=\"0\"><table>\n<caption>{caption}</caption>\n<thead><tr>"
    );
    for (column, head) in heads.iter().enumerate() {
        let _infallible = write!(html, "<th scope=\"col\"{}>{head}</th>", class(column));
    }
    html.push_str("</tr></thead>\n<tbody>\n");
    for (row_class, cells) in rows {
        let _infallible = if row_class.is_empty() {
            write!(html, "<tr>")
        } else {
            write!(html, "<tr class=\"{row_class}\">")
        };
        for (column, cell) in cells.iter().enumerate() {
            let _infallible = if column == 0 {
                write!(html, "<th scope=\"row\">{cell}</th>")
            } else {
                write!(html, "<td{}>{cell}</td>", class(column))
            };
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody>\n</table></div>\n");
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_become_markup() {
        let escaped = Escaped("<script>\"a\" & 'b'</script>").to_string();
        assert_eq!(escaped, "&lt;script&gt;&quot;a&quot; &amp; &#39;b&#39;&lt;/script&gt;");
    }

    #[test]
    fn numbers_have_a_minus_but_no_minus_zero() {
        assert_eq!(number(-0.25, 1), "−0.2");
        assert_eq!(number(-0.0001, 2), "0.00");
        assert_eq!(number(f64::NAN, 2), "–");
        assert_eq!(number(f64::NEG_INFINITY, 2), "−∞");
    }
}
