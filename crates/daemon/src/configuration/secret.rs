//! What of a configuration is a secret: the token, however it is spelled. It stays out of recordings, and out of the lines
//! that an error shows.

use std::ops::Range;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// How alike (Jaro-Winkler) a key must be to `token` for its value to be taken for one.
const ALIKE: f64 = 0.85;
/// What stands in a recording in the token's place. It is no token, so that nobody runs with one that others can read.
const LEFT_OUT: &str = "\"left out of the recording\"";

/// Whether a key may be meant for the token, or for a secret of another name.
pub(super) fn may_be_secret(key: &str) -> bool {
    let key = key.to_lowercase();
    ["tok", "secret", "passw"].iter().any(|part| key.contains(part))
        || strsim::jaro_winkler(&key, "token") >= ALIKE
}

/// The text as a recording keeps it: the token's value stands at `place` and reads as `token`. Comments that show a token are
/// left out too.
pub(super) fn without_token(text: &str, place: Option<Range<usize>>, token: Option<&str>) -> String {
    let mut kept = text.to_owned();
    if let Some(place) = place.filter(|place| text.get(place.clone()).is_some()) {
        kept.replace_range(place, LEFT_OUT);
    }
    if let Some(token) = token {
        kept = kept.replace(token, "left out of the recording");
    }
    let lines = kept.split_inclusive('\n').map(|line| {
        let comment = line.trim_start().strip_prefix('#');
        let shows = comment.and_then(|comment| comment.split_once('='));
        match shows {
            Some((key, _)) if may_be_secret(&unescaped(key)) => "# left out of the recording\n",
            _ => line,
        }
    });
    lines.collect()
}

/// The text as an error may show it: the same lines of the same lengths, with asterisks for what may be a secret.
/// `of_server` are the keys that `[server]` has.
pub(super) fn shown(text: &str, of_server: Vec<&'static str>) -> String {
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut gathering = Gathering { of_server, secrets: Vec::new() };
    gathering.table(document.get_ref(), false);
    let mut secrets = gathering.secrets;
    if !errors.is_empty() {
        // the parser may have lost its way: what it says of keys and values is not all that there is
        secrets.extend(by_line(text));
    }
    let mut shown = String::with_capacity(text.len());
    for (at, character) in text.char_indices() {
        if !character.is_whitespace() && secrets.iter().any(|secret| secret.contains(&at)) {
            shown.extend(std::iter::repeat_n('*', character.len_utf8()));
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Values under keys that may be secret, and under keys of `[server]` that it does not have.
struct Gathering {
    of_server: Vec<&'static str>,
    secrets: Vec<Range<usize>>,
}

impl Gathering {
    fn table(&mut self, table: &DeTable<'_>, is_server: bool) {
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            if may_be_secret(name) || is_server && !self.of_server.contains(&name) {
                self.secrets.push(value.span());
            }
            self.value(value, strsim::jaro_winkler(&name.to_lowercase(), "server") >= ALIKE);
        }
    }

    fn value(&mut self, value: &Spanned<DeValue<'_>>, is_server: bool) {
        match value.get_ref() {
            DeValue::Table(table) => self.table(table, is_server),
            DeValue::Array(elements) => {
                for element in elements {
                    self.value(element, is_server);
                }
            }
            // a table that was written as a text
            DeValue::String(text) if is_server || text.to_lowercase().contains("token") => {
                self.secrets.push(value.span());
            }
            _ => {}
        }
    }
}

/// In a text that is no TOML: what follows a word like `token` on its line, and on the next ones where a value goes on there.
fn by_line(text: &str) -> Vec<Range<usize>> {
    let mut secrets = Vec::new();
    let mut at = 0;
    let mut goes_on: Option<&str> = None;
    for line in text.split_inclusive('\n') {
        let range = at..at + line.len();
        at = range.end;
        if let Some(until) = goes_on {
            secrets.push(range);
            if until.is_empty() || line.contains(until) {
                goes_on = None;
            }
            continue;
        }
        let plain = unescaped(line).to_lowercase();
        if ["tok", "secret", "passw"].iter().any(|part| plain.contains(part)) {
            // an escape in the key moves what follows: then the whole line goes
            let key =
                if line.contains('\\') { None } else { line.to_lowercase().find("tok").map(|key| key + 5) };
            let from = key.filter(|key| *key <= line.len() && line.is_ascii()).unwrap_or(0);
            secrets.push(range.start + from..range.end);
            let value = line.split_once('=').map_or("", |(_, value)| value.trim());
            goes_on = ["\"\"\"", "'''"]
                .into_iter()
                .find(|quotes| value.matches(quotes).count() == 1)
                .or_else(|| value.is_empty().then_some(""));
        }
    }
    secrets
}

/// A text with TOML's escapes by number read.
fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, escape)) = rest.split_once('\\') {
        plain.push_str(before);
        let digits = match escape.as_bytes().first() {
            Some(b'u') => 4,
            Some(b'U') => 8,
            Some(b'x') => 2,
            _ => 0,
        };
        let number = escape.get(1..=digits).filter(|_| digits > 0);
        let read = number.and_then(|number| u32::from_str_radix(number, 16).ok()).and_then(char::from_u32);
        if let Some(read) = read {
            plain.push(read);
            rest = escape.get(1 + digits..).unwrap_or_default();
        } else {
            plain.push('\\');
            rest = escape;
        }
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::super::parse;

    const TOKEN: &str = "hunter2-hunter2-hunter2";
    const HALVES: [&str; 2] = ["hunter2-h", "unter2-hunter2"];

    #[test]
    fn no_spelling_of_the_token_reaches_a_recording() {
        let escaped =
            TOKEN.chars().fold(String::new(), |text, letter| format!("{text}\\u{:04x}", u32::from(letter)));
        let stream = "[[stream]]\nname = \"A\"\n";
        for spelled in [
            format!("{stream}[server]\ntoken = \"{TOKEN}\"\n"),
            format!("{stream}[server]\ntoken = '{TOKEN}' # {TOKEN}\n"),
            format!("{stream}[server]\ntoken = \"{escaped}\"\n"),
            format!("{stream}[server]\n\"\\u0074oken\" = \"\"\"{escaped}\"\"\"\n"),
            format!("{stream}[server]\n'token' = '''\n{TOKEN}'''\n"),
            format!("{stream}[server]\ntoken = \"\"\"{}\\\n   {}\"\"\"\n", HALVES[0], HALVES[1]),
            format!("server.token = \"{escaped}\"\n{stream}"),
            format!("\"server\".'token' = \"{TOKEN}\"\n{stream}"),
            format!("server = {{ token = \"{escaped}\" }}\n{stream}"),
            format!("# token = \"{TOKEN}\"\n#server.\"\\u0074oken\"=\"{TOKEN}\"\n{stream}"),
        ] {
            let configuration = parse(&spelled, "a.toml").unwrap_or_else(|errors| panic!("{errors}"));
            let kept = &configuration.source.text;
            for secret in [TOKEN, &escaped, HALVES[0], HALVES[1]] {
                assert!(!kept.contains(secret), "{kept}");
            }
            assert!(kept.contains("left out of the recording") && kept.contains(stream), "{kept}");
            let given = !spelled.starts_with('#');
            assert_eq!(configuration.server.token.as_deref(), given.then_some(TOKEN));
        }
    }

    #[test]
    fn an_error_shows_no_token_however_wrong_it_is() {
        for wrong in [
            "[server]\ntoken = \"hunter2 hunter2 hunter2\"\n",
            "[server]\ntoken = \"hunter2\"\nbind = 5\n",
            "[server]\ntoken = [\"hunter2-hunter2-hunter2\"]\n",
            "[server]\ntokn = \"hunter2-hunter2-hunter2\"\n",
            "[server]\nTOKEN = \"hunter2-hunter2-hunter2\"\n",
            "[server]\npin = \"hunter2-hunter2-hunter2\"\n",
            "[srver]\ntoken = \"hunter2-hunter2-hunter2\"\n",
            "token = \"hunter2-hunter2-hunter2\"\n",
            "server = \"token=hunter2-hunter2-hunter2\"\n",
            "server = { token = \"hunter2\", bind = \"x\" }\n",
            "[server]\n\"\\u0074oken\" = \"hunter2\"\n",
            "[server]\ntoken = \"hunter2-hunter2\n",
            "[server]\ntoken = hunter2-hunter2-hunter2\n",
            "[server]\ntoken = \"\"\"hunter2\nhunter2 \\q\n",
            "[server]\ntoken =\nhunter2-hunter2-hunter2\n",
            "[server]\ntoken \"hunter2-hunter2-hunter2\"\n",
            "[server]\n\"\\u0074oken\" = hunter2-hunter2-hunter2\n",
            "[server]\ntoken = \"hunter2\\q\"\n",
            "[server]\ntoken = \"hunter2-hunter2-hunter2\"\ntoken = \"hunter2-hunter2-hunter3\"\n",
        ] {
            let errors = parse(wrong, "a.toml").expect_err(wrong);
            let said = format!("{errors}{errors:?}");
            assert!(!said.contains("hunter"), "{wrong}\n{said}");
        }
        let errors = super::super::parse_bytes(b"[server]\ntoken = \"hunter2\xff\"\n", "a.toml")
            .expect_err("not UTF-8");
        assert!(!format!("{errors}{errors:?}").contains("hunter"), "{errors}");
    }

    #[test]
    fn an_error_elsewhere_still_shows_its_line() {
        let errors = parse("[server]\ntoken = \"hunter2\"\nbind = \"nowhere\"\n", "a.toml").expect_err("two");
        let said = errors.to_string();
        assert!(said.contains("bind = \"nowhere\"") && said.contains("token = *********"), "{said}");
    }
}
