//! Judges a request's head, line by line, before the HTTP library reads it (RFC 9112).
//!
//! It is stricter than that library where two readers could see two different requests: bare line feeds,
//! folded lines, a repeated or odd `Content-Length`, `Transfer-Encoding` beside it.

use http::StatusCode;
use http::header::ALLOW;
use memchr::memchr;

use super::Limits;
use crate::problem::Problem;

/// How far a head has come in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Scan {
    /// It ends before this offset.
    Complete(usize),
    /// More bytes are needed.
    Partial,
    /// A line ends without a carriage return.
    BareLineFeed,
}

/// How long the body is that follows a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// This many bytes, often none.
    Length(u64),
    /// Chunks, whose end the HTTP library finds.
    Chunked,
}

/// Looks for the empty line; everything before `from` was looked at before.
pub(super) fn scan(bytes: &[u8], from: usize) -> Scan {
    let mut at = from;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr(b'\n', rest)) {
        let line_feed = at + found;
        if !bytes[..line_feed].ends_with(b"\r") {
            return Scan::BareLineFeed;
        }
        if bytes[..line_feed].ends_with(b"\r\n\r") {
            return Scan::Complete(line_feed + 1);
        }
        at = line_feed + 1;
    }
    Scan::Partial
}

/// Refuses a head that is too long already, however it goes on.
pub(super) fn check_partial(bytes: &[u8], limits: &Limits) -> Result<(), Problem> {
    // Room for the method, the version and the blanks around the URL.
    const BESIDE_URL: usize = 64;
    match bytes.iter().position(|byte| *byte == b'\n') {
        None if bytes.len() > limits.max_url + BESIDE_URL => Err(url_too_long(limits)),
        Some(first_line) if bytes.len() - first_line > limits.max_header_bytes => {
            Err(headers_too_large(limits))
        }
        _ => Ok(()),
    }
}

/// Judges a complete head, empty line included.
pub(super) fn inspect(head: &[u8], limits: &Limits) -> Result<Framing, Problem> {
    let lines = head.strip_suffix(b"\r\n\r\n").ok_or_else(|| malformed("The request has no end."))?;
    let mut lines = Lines(Some(lines));
    let request_line = lines.next().unwrap_or_default();
    let is_http_11 = check_request_line(request_line, limits)?;
    if head.len() - request_line.len() > limits.max_header_bytes {
        return Err(headers_too_large(limits));
    }
    let mut seen = Seen::default();
    for line in lines {
        seen.header(line, limits)?;
    }
    seen.framing(is_http_11)
}

/// The lines of a head, without their ends.
struct Lines<'a>(Option<&'a [u8]>);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.0?;
        let Some(end) = memchr(b'\n', rest) else {
            // The last one's end was taken off with the empty line, so a carriage return is its own.
            self.0 = None;
            return Some(rest);
        };
        self.0 = rest.get(end + 1..);
        Some(rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]))
    }
}

/// Whether it is HTTP/1.1; else it is HTTP/1.0.
fn check_request_line(line: &[u8], limits: &Limits) -> Result<bool, Problem> {
    let mut words = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(malformed("The first line must be a method, a URL and a version."));
    };
    let is_http_11 = match version {
        b"HTTP/1.1" => true,
        b"HTTP/1.0" => false,
        _ if version.starts_with(b"HTTP/") => {
            let detail = "Only HTTP/1.1 and HTTP/1.0 are spoken here.";
            return Err(Problem::new(
                StatusCode::HTTP_VERSION_NOT_SUPPORTED,
                "http_version_not_supported",
                detail,
            ));
        }
        _ => return Err(malformed("The first line must end in an HTTP version.")),
    };
    if method.is_empty() || method.len() > 32 || !method.iter().all(is_token) {
        return Err(malformed("The method is not a word."));
    }
    if method == b"CONNECT" {
        let detail = "This is not a proxy: CONNECT is not possible here.";
        return Err(Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
            .with_header(ALLOW, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
    }
    if target.len() > limits.max_url {
        return Err(url_too_long(limits));
    }
    check_target(target)?;
    Ok(is_http_11)
}

fn check_target(target: &[u8]) -> Result<(), Problem> {
    let has_form =
        target.starts_with(b"/") || target.starts_with(b"http://") || target.starts_with(b"https://");
    let mut halves = target.splitn(2, |byte| *byte == b'?');
    let path = halves.next().unwrap_or_default();
    let query = halves.next().unwrap_or_default();
    if has_form
        && path.iter().all(|byte| PATH[usize::from(*byte)])
        && query.iter().all(|byte| QUERY[usize::from(*byte)])
    {
        Ok(())
    } else {
        Err(malformed("The URL must be a path, with anything but plain ASCII percent-encoded."))
    }
}

/// The headers that decide what a request is, as they are met.
#[derive(Default)]
struct Seen {
    headers: usize,
    hosts: usize,
    authorizations: usize,
    lengths: usize,
    length: u64,
    codings: usize,
}

impl Seen {
    fn header(&mut self, line: &[u8], limits: &Limits) -> Result<(), Problem> {
        self.headers += 1;
        if self.headers > limits.max_headers {
            return Err(headers_too_large(limits));
        }
        let colon = memchr(b':', line).ok_or_else(|| malformed("A header has no colon."))?;
        let (name, value) = (&line[..colon], trim_blanks(&line[colon + 1..]));
        if name.is_empty() || !name.iter().all(is_token) {
            return Err(malformed("A header's name is not a word, or its line is folded."));
        }
        if has_control(value) {
            return Err(malformed("A header's value has control characters."));
        }
        self.note(name, value)
    }

    fn note(&mut self, name: &[u8], value: &[u8]) -> Result<(), Problem> {
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => {
                self.hosts += 1;
                if !value.iter().all(|byte| HOST[usize::from(*byte)]) {
                    return Err(malformed("The `Host` header is not a host."));
                }
            }
            13 if name.eq_ignore_ascii_case(b"authorization") => self.authorizations += 1,
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                self.lengths += 1;
                self.length =
                    parse_length(value).ok_or_else(|| malformed("The `Content-Length` is not a number."))?;
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                self.codings += 1;
                if !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(malformed("The only `Transfer-Encoding` is `chunked`."));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn framing(&self, is_http_11: bool) -> Result<Framing, Problem> {
        let Self { hosts, authorizations, lengths, codings, .. } = *self;
        if hosts > 1 || authorizations > 1 || lengths > 1 || codings > 1 {
            let detail =
                "`Host`, `Authorization`, `Content-Length` and `Transfer-Encoding` may stand once each.";
            return Err(Problem::malformed("duplicate_header", detail));
        }
        match (lengths, codings) {
            _ if is_http_11 && hosts == 0 => Err(malformed("The `Host` header is missing.")),
            (_, 0) => Ok(Framing::Length(self.length)),
            (0, _) if is_http_11 => Ok(Framing::Chunked),
            (0, _) => Err(malformed("HTTP/1.0 has no `Transfer-Encoding`.")),
            _ => Err(malformed("`Content-Length` and `Transfer-Encoding` can't stand together.")),
        }
    }
}

/// Without the blanks and tabs around it, and with whatever else is there: a lone carriage return is no blank.
fn trim_blanks(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

fn parse_length(value: &[u8]) -> Option<u64> {
    let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(value).ok().filter(|_| is_number)?.parse().ok()
}

/// A character of a token (RFC 9110, section 5.6.2).
fn is_token(byte: &u8) -> bool {
    TOKEN[usize::from(*byte)]
}

// Looked up, since every byte of the URL, of the host and of every header's name is asked for.
const TOKEN: [bool; 256] = graphic_except(b"\"(),/:;<=>?@[\\]{}");
const HOST: [bool; 256] = graphic_except(b"/\\@?#,<>\"");
const PATH: [bool; 256] = graphic_except(b"#<>`");
const QUERY: [bool; 256] = graphic_except(b"#<>\"");

const fn graphic_except(signs: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut at = 0;
    while at < 128 {
        table[at] = (at as u8).is_ascii_graphic();
        at += 1;
    }
    let mut at = 0;
    while at < signs.len() {
        table[signs[at] as usize] = false;
        at += 1;
    }
    table
}

/// Control characters other than a tab. It looks at all bytes, without a branch, which is several at a time.
fn has_control(value: &[u8]) -> bool {
    value.iter().fold(false, |found, byte| found | ((*byte < b' ') & (*byte != b'\t')) | (*byte == 0x7f))
}

fn malformed(detail: &'static str) -> Problem {
    Problem::malformed("malformed_request", detail)
}

fn url_too_long(limits: &Limits) -> Problem {
    let detail = format!("The URL is longer than {} bytes.", limits.max_url);
    Problem::new(StatusCode::URI_TOO_LONG, "url_too_long", detail)
}

fn headers_too_large(limits: &Limits) -> Problem {
    let detail =
        format!("More than {} headers, or {} bytes of them.", limits.max_headers, limits.max_header_bytes);
    Problem::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(head: &str) -> Result<Framing, u16> {
        inspect(head.as_bytes(), &Limits::default()).map_err(|problem| problem.status().as_u16())
    }

    fn with(lines: &str) -> Result<Framing, u16> {
        judge(&format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n"))
    }

    #[test]
    fn a_plain_request_passes() {
        assert_eq!(
            judge("GET /a?b=c HTTP/1.1\r\nHost: localhost:8000\r\nAccept: */*\r\n\r\n"),
            Ok(Framing::Length(0))
        );
        assert_eq!(judge("GET / HTTP/1.0\r\n\r\n"), Ok(Framing::Length(0)));
        assert_eq!(with("Content-Length: 12\r\n"), Ok(Framing::Length(12)));
        assert_eq!(with("Transfer-Encoding: Chunked\r\n"), Ok(Framing::Chunked));
        assert_eq!(with("X-Latin: caf\u{e9}\r\nX-Empty:\r\n"), Ok(Framing::Length(0)));
    }

    #[test]
    fn g07_ambiguous_framing_is_refused() {
        for lines in [
            "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
            "Content-Length: 3\r\nContent-Length: 3\r\n",
            "Content-Length: 3\r\nContent-Length: 4\r\n",
            "Content-Length: +3\r\n",
            "Content-Length: -1\r\n",
            "Content-Length: 0x3\r\n",
            "Content-Length:\r\n",
            "Content-Length: 3,\r\n",
            "Content-Length: 3, 3\r\n",
            "Content-Length: 99999999999999999999\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked, identity\r\n",
            "Transfer-Encoding: identity, chunked\r\n",
            "Transfer-Encoding: xchunked\r\n",
            "Transfer-Encoding:\r\n",
            "Transfer-Encoding : chunked\r\n",
        ] {
            assert_eq!(with(lines), Err(400), "{lines:?}");
        }
        assert_eq!(judge("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), Err(400));
    }

    #[test]
    fn malformed_headers_are_refused() {
        for lines in [
            ": a\r\n",
            "X Y: a\r\n",
            "X: a\r\n folded\r\n",
            "X: a\0b\r\n",
            "X\0: a\r\n",
            "X: a\rb\r\n",
            "X: a\r\r\n",
            "X: \u{c}a\r\n",
            "nothing\r\n",
            "Host: b\r\n",
            "Authorization: a\r\nauthorization: b\r\n",
        ] {
            assert_eq!(with(lines), Err(400), "{lines:?}");
        }
        assert_eq!(judge("GET / HTTP/1.1\r\n\r\n"), Err(400), "no host");
        assert_eq!(judge("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n"), Err(400));
    }

    #[test]
    fn odd_request_lines_are_refused() {
        assert_eq!(judge("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n"), Err(405));
        assert_eq!(judge("PRI * HTTP/2.0\r\n\r\n"), Err(505));
        for line in [
            "GET /",
            "GET  / HTTP/1.1",
            "GET / HTTP/1.1 ",
            "G(T / HTTP/1.1",
            " / HTTP/1.1",
            "OPTIONS * HTTP/1.1",
            "GET /a#b HTTP/1.1",
            "GET /\u{e9} HTTP/1.1",
            "GET example HTTP/1.1",
        ] {
            assert_eq!(judge(&format!("{line}\r\nHost: a\r\n\r\n")), Err(400), "{line:?}");
        }
    }

    #[test]
    fn g10_sizes_are_bounded() {
        assert_eq!(judge(&format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(8192))), Err(414));
        assert_eq!(with(&"X: a\r\n".repeat(100)), Err(431), "101 with Host");
        assert_eq!(with(&"X: a\r\n".repeat(99)), Ok(Framing::Length(0)));
        assert_eq!(with(&format!("X: {}\r\n", "a".repeat(16 * 1024))), Err(431));
        let status = |bytes: &str| {
            check_partial(bytes.as_bytes(), &Limits::default()).map_err(|problem| problem.status().as_u16())
        };
        assert_eq!(status(&"a".repeat(9000)), Err(414));
        assert_eq!(status(&format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(17_000))), Err(431));
        assert_eq!(status("GET / HTTP/1.1\r\nX: "), Ok(()));
    }

    #[test]
    fn the_end_is_found_wherever_the_bytes_are_cut() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nrest";
        for cut in 0..head.len() {
            let first = scan(&head[..cut], 0);
            let expected = if cut < 27 { Scan::Partial } else { Scan::Complete(27) };
            assert_eq!(first, expected, "{cut}");
            assert_eq!(scan(head, cut.min(26)), Scan::Complete(27), "{cut}");
        }
        assert_eq!(scan(b"GET / HTTP/1.1\nHost: a\n\n", 0), Scan::BareLineFeed);
    }
}
