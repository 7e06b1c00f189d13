//! Who may ask: Host and Origin on every request, the run's token where one is needed.
//!
//! A page of another site can make a browser send requests to this port, and DNS rebinding can make such a page look
//! like ours; so the Host header and, where a browser sends one, the Origin header must be exactly ones that we expect.

use core::net::SocketAddr;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};

use crate::Token;

/// Before the token in a WebSocket subprotocol, which is the only header that a page can set on an upgrade.
const TOKEN_SUBPROTOCOL: &str = "kalmind.token.";

/// What browsers send as the Origin of a page that has none they would name: one opened from a file, or put into a frame
/// without rights by any site whatever.
const OPAQUE: &str = "null";
/// What Chromium sends in its place when a page that was opened from a file connects to a WebSocket.
const FILE: &str = "file://";

/// The rules of one server.
#[derive(Debug)]
pub(crate) struct Access {
    hosts: Vec<String>,
    /// Every origin whose pages are let in, as browsers send it.
    origins: Vec<String>,
    token: Token,
    reading_needs_token: bool,
}

/// Why a request is turned away before anything looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// The Host header.
    Host,
    /// The Origin header, or another site's page.
    Origin,
}

/// What a request shows of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Credentials {
    /// No token.
    Absent,
    /// The run's token.
    Right,
    /// Another one.
    Wrong,
}

/// What is said where a token that is shown is not the run's.
pub(crate) const WRONG_TOKEN: &str = "the token shown is not this run's: each start makes a new one, unless [server] token \
                                      names it; take it from the address that the daemon printed at this start";

impl Access {
    /// The rules of a server bound to `bound`: its own names, and those that the configuration adds (hosts as
    /// `name:port`, origins as `http://name:port`, `null` or `file:`).
    pub(crate) fn new(bound: SocketAddr, hosts: &[String], origins: &[String], token: Token) -> Self {
        let port = bound.port();
        let mut names: Vec<String> = Vec::new();
        if bound.ip().is_loopback() || bound.ip().is_unspecified() {
            names.extend(["127.0.0.1", "localhost", "[::1]"].map(String::from));
        }
        if !bound.ip().is_unspecified() {
            names.push(match bound {
                SocketAddr::V4(address) => address.ip().to_string(),
                SocketAddr::V6(address) => format!("[{}]", address.ip()),
            });
        }
        let mut own: Vec<String> = names.iter().map(|name| format!("{name}:{port}")).collect();
        if port == 80 {
            own.extend(names);
        }
        own.extend(hosts.iter().map(|host| host.to_ascii_lowercase()));
        let mut origins: Vec<String> = origins.iter().flat_map(|origin| as_sent(origin)).collect();
        origins.extend(own.iter().map(|host| format!("http://{host}")));
        Self { hosts: own, origins, token, reading_needs_token: !bound.ip().is_loopback() }
    }

    /// Whether a request comes from where it may come from.
    pub(crate) fn check(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Denied> {
        let host = only(headers, &header::HOST).ok_or(Denied::Host)?;
        let named_in_target = uri.authority().map(axum::http::uri::Authority::as_str);
        if !contains(&self.hosts, host) || named_in_target.is_some_and(|name| !contains(&self.hosts, name)) {
            return Err(Denied::Host);
        }
        if headers.contains_key(header::ORIGIN) {
            let origin = only(headers, &header::ORIGIN).ok_or(Denied::Origin)?;
            if !contains(&self.origins, origin) {
                return Err(Denied::Origin);
            }
        } else if sent_by_another_site(method, headers) {
            return Err(Denied::Origin);
        }
        Ok(())
    }

    /// The request's Origin, where its page is let in: what may read the answer.
    pub(crate) fn allowed_origin<'a>(&self, headers: &'a HeaderMap) -> Option<&'a HeaderValue> {
        let allowed = contains(&self.origins, only(headers, &header::ORIGIN)?);
        headers.get(header::ORIGIN).filter(|_| allowed)
    }

    /// What the request's `Authorization` header or WebSocket subprotocol shows.
    pub(crate) fn credentials(&self, headers: &HeaderMap) -> Credentials {
        let authorization = headers
            .get(header::AUTHORIZATION)
            .map(|value| value.to_str().ok().and_then(bearer).unwrap_or_default());
        let subprotocol = headers
            .get_all(header::SEC_WEBSOCKET_PROTOCOL)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .find_map(|protocol| protocol.trim().strip_prefix(TOKEN_SUBPROTOCOL));
        match (authorization, subprotocol) {
            (None, None) => Credentials::Absent,
            (header, protocol) => {
                let right = header.into_iter().chain(protocol).all(|shown| self.token.matches(shown));
                if right { Credentials::Right } else { Credentials::Wrong }
            }
        }
    }

    /// Whether `shown` is the run's token.
    pub(crate) fn is_token(&self, shown: &str) -> bool {
        self.token.matches(shown)
    }

    /// Whether reading needs the token too: on any address but a loopback one, and for pages that are not our own.
    pub(crate) fn reading_needs_token(&self, headers: &HeaderMap) -> bool {
        self.reading_needs_token
            || headers.get_all(header::ORIGIN).iter().any(|origin| !self.is_own_origin(origin))
    }

    /// Whether an Origin is one that our own page has.
    fn is_own_origin(&self, origin: &HeaderValue) -> bool {
        let host = origin.to_str().ok().and_then(|origin| without_prefix(origin, "http://"));
        host.is_some_and(|host| contains(&self.hosts, host))
    }

    /// The WebSocket addresses that our page may connect to, for browsers that do not take `'self'` for them. A content
    /// policy cannot name IPv6 addresses.
    pub(crate) fn websocket_sources(&self) -> String {
        self.hosts.iter().filter(|host| !host.starts_with('[')).flat_map(|host| [" ws://", host]).collect()
    }
}

/// An origin of the configuration as browsers send it: without the port that its scheme has anyway, and for pages opened
/// from a file in both ways in which such a page appears.
fn as_sent(origin: &str) -> Vec<String> {
    let origin = origin.to_ascii_lowercase();
    let usual_port = [("http://", ":80"), ("https://", ":443")];
    let short = usual_port
        .iter()
        .find_map(|(scheme, port)| origin.starts_with(scheme).then(|| origin.strip_suffix(port)).flatten());
    match (short, origin.as_str()) {
        (Some(short), _) => vec![short.to_owned()],
        (None, "file:" | FILE) => vec![FILE.to_owned(), OPAQUE.to_owned()],
        (None, _) => vec![origin],
    }
}

/// What browsers say of themselves where they send no Origin (pictures, scripts). Following a link to the console
/// is fine: its page cannot be framed, and the site that linked to it cannot read it.
fn sent_by_another_site(method: &Method, headers: &HeaderMap) -> bool {
    const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
    const MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
    let Some(site) = headers.get(SITE) else { return false };
    let ours = site == HeaderValue::from_static("same-origin") || site == HeaderValue::from_static("none");
    let navigation =
        method == Method::GET && headers.get(MODE) == Some(&HeaderValue::from_static("navigate"));
    !ours && !navigation
}

/// The token of an `Authorization` header; the scheme's name is not case-sensitive (RFC 9110, 11.1).
fn bearer(value: &str) -> Option<&str> {
    without_prefix(value, "Bearer ").map(str::trim)
}

/// `text` after `prefix`, which may be in capitals or not.
fn without_prefix<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// The value of a header that may occur once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

fn contains(names: &[String], name: &str) -> bool {
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    fn access(bound: &str) -> Access {
        Access::new(
            bound.parse().unwrap(),
            &[String::from("Decoder.lab:8765")],
            &[String::from("http://tasks.lab")],
            Token::new(TOKEN).unwrap(),
        )
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, HeaderValue::from_static(value));
        }
        map
    }

    fn check(pairs: &[(&'static str, &'static str)]) -> Result<(), Denied> {
        access("127.0.0.1:8765").check(&Method::GET, &Uri::from_static("/v1/status"), &headers(pairs))
    }

    #[test]
    fn own_names_with_the_own_port_pass() {
        for host in ["127.0.0.1:8765", "localhost:8765", "LocalHost:8765", "[::1]:8765", "decoder.lab:8765"] {
            assert_eq!(check(&[("host", host)]), Ok(()), "{host}");
        }
    }

    #[test]
    fn other_names_ports_and_repeated_or_missing_hosts_do_not() {
        for host in
            ["evil.example:8765", "127.0.0.1", "127.0.0.1:80", "localhost.:8765", "localhost:8765.evil", ""]
        {
            assert_eq!(check(&[("host", host)]), Err(Denied::Host), "{host}");
        }
        assert_eq!(check(&[]), Err(Denied::Host));
        assert_eq!(check(&[("host", "localhost:8765"), ("host", "localhost:8765")]), Err(Denied::Host));
        let absolute = Uri::from_static("http://evil.example/v1/status");
        let denied =
            access("127.0.0.1:8765").check(&Method::GET, &absolute, &headers(&[("host", "localhost:8765")]));
        assert_eq!(denied, Err(Denied::Host));
    }

    #[test]
    fn origins_are_compared_whole() {
        let host = ("host", "localhost:8765");
        for origin in ["http://localhost:8765", "http://127.0.0.1:8765", "http://tasks.lab"] {
            assert_eq!(check(&[host, ("origin", origin)]), Ok(()), "{origin}");
        }
        for origin in [
            "null",
            "https://localhost:8765",
            "http://localhost",
            "http://localhost:8765.evil",
            "http://evil",
            "",
        ] {
            assert_eq!(check(&[host, ("origin", origin)]), Err(Denied::Origin), "{origin}");
        }
    }

    #[test]
    fn origins_are_taken_as_browsers_send_them() {
        let allowed = |listed: &str, sent: &'static str| {
            let token = Token::new(TOKEN).unwrap();
            let access = Access::new("127.0.0.1:8765".parse().unwrap(), &[], &[String::from(listed)], token);
            access.allowed_origin(&headers(&[("origin", sent)])).is_some()
        };
        for (listed, sent) in [
            ("https://App.Example", "https://app.example"),
            ("https://app.example:443", "https://app.example"),
            ("http://app.example:80", "http://app.example"),
            ("https://app.example:80", "https://app.example:80"),
            ("null", "null"),
            ("file:", "null"),
            ("file:", "file://"),
            ("file://", "file://"),
            ("chrome-extension://abcdef", "chrome-extension://abcdef"),
            ("http://x", "http://127.0.0.1:8765"),
        ] {
            assert!(allowed(listed, sent), "{listed} does not let in {sent}");
        }
        for (listed, sent) in [
            ("https://app.example", "http://app.example"),
            ("https://app.example:444", "https://app.example"),
            ("null", "file://"),
            ("http://x", "null"),
            ("http://x", "file://"),
        ] {
            assert!(!allowed(listed, sent), "{listed} lets in {sent}");
        }
        let twice = headers(&[("origin", "http://tasks.lab"), ("origin", "http://tasks.lab")]);
        assert_eq!(access("127.0.0.1:8765").allowed_origin(&twice), None);
    }

    #[test]
    fn pictures_and_scripts_of_other_sites_are_refused_and_links_followed() {
        let host = ("host", "localhost:8765");
        assert_eq!(check(&[host, ("sec-fetch-site", "cross-site")]), Err(Denied::Origin));
        assert_eq!(check(&[host, ("sec-fetch-site", "same-site")]), Err(Denied::Origin));
        assert_eq!(check(&[host, ("sec-fetch-site", "same-origin")]), Ok(()));
        assert_eq!(check(&[host, ("sec-fetch-site", "none")]), Ok(()));
        assert_eq!(check(&[host, ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")]), Ok(()));
    }

    #[test]
    fn token_is_read_from_header_and_subprotocol() {
        let access = access("127.0.0.1:8765");
        let shown = |pairs| access.credentials(&headers(pairs));
        assert_eq!(shown(&[]), Credentials::Absent);
        assert_eq!(shown(&[("authorization", "Bearer 0123456789abcdef")]), Credentials::Right);
        assert_eq!(shown(&[("authorization", "bearer 0123456789abcdef")]), Credentials::Right);
        assert_eq!(shown(&[("authorization", "BEARER  0123456789abcdef")]), Credentials::Right);
        assert_eq!(shown(&[("authorization", "Bearer0123456789abcdef")]), Credentials::Wrong);
        assert_eq!(shown(&[("authorization", "Basic 0123456789abcdef")]), Credentials::Wrong);
        assert_eq!(shown(&[("authorization", "Bearer nonsense")]), Credentials::Wrong);
        assert_eq!(
            shown(&[("sec-websocket-protocol", "kalmind.v1, kalmind.token.0123456789abcdef")]),
            Credentials::Right
        );
        assert_eq!(shown(&[("sec-websocket-protocol", "kalmind.v1, kalmind.token.x")]), Credentials::Wrong);
        assert_eq!(shown(&[("sec-websocket-protocol", "kalmind.v1")]), Credentials::Absent);
        assert_eq!(
            shown(&[
                ("authorization", "Bearer 0123456789abcdef"),
                ("sec-websocket-protocol", "kalmind.token.x")
            ]),
            Credentials::Wrong
        );
    }

    #[test]
    fn any_address_but_loopback_needs_a_token_for_reading() {
        let needs = |bound| access(bound).reading_needs_token(&HeaderMap::new());
        assert!(!needs("127.0.0.1:8765"));
        assert!(!needs("[::1]:8765"));
        assert!(needs("0.0.0.0:8765"));
        assert!(needs("192.168.1.5:8765"));
    }

    #[test]
    fn pages_of_others_need_a_token_for_reading_also_where_they_are_allowed() {
        let access = access("127.0.0.1:8765");
        let needs = |origin| access.reading_needs_token(&headers(&[("origin", origin)]));
        for own in ["http://127.0.0.1:8765", "http://LocalHost:8765", "http://decoder.lab:8765"] {
            assert!(!needs(own), "{own}");
        }
        for foreign in ["http://tasks.lab", "https://127.0.0.1:8765", "null", "file://"] {
            assert!(needs(foreign), "{foreign}");
        }
    }
}
