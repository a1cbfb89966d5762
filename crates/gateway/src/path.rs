//! One spelling for each path: the same one is routed, authorised, forwarded and logged.

use http::Uri;
use http::uri::PathAndQuery;
use kit::problem::Problem;

/// The path's one spelling, where it was written otherwise: unreserved characters plain, hex digits in upper
/// case (RFC 3986, section 6.2.2). A path that two readers could take for two different ones is refused.
pub(crate) fn normalise(path: &str) -> Result<Option<String>, Problem> {
    if is_plain(path) {
        return Ok(None);
    }
    let decoded = if path.contains('%') { Some(decode(path)?) } else { None };
    let plain = decoded.as_deref().unwrap_or(path);
    check(plain)?;
    Ok(decoded.filter(|decoded| decoded != path))
}

/// Most paths: letters, digits, dashes and single slashes can't be written in two ways.
fn is_plain(path: &str) -> bool {
    let mut before = b'.';
    path.starts_with('/')
        && path.bytes().all(|byte| {
            let is_double = (before, byte) == (b'/', b'/');
            before = byte;
            !is_double && (byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'/')
        })
}

/// Puts another path into a URL, whose query stays.
pub(crate) fn replace(uri: &mut Uri, path: &str) -> Result<(), Problem> {
    let whole = uri.query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    *uri =
        Uri::from(PathAndQuery::try_from(whole).map_err(|_| ambiguous("characters that must be encoded"))?);
    Ok(())
}

fn decode(path: &str) -> Result<String, Problem> {
    let mut decoded = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('%') {
        decoded.push_str(before);
        let (hex, byte) =
            after.get(..2).and_then(read_hex).ok_or_else(|| ambiguous("a broken percent-encoding"))?;
        match byte {
            b'/' | b'\\' => return Err(ambiguous("an encoded slash or backslash")),
            _ if byte.is_ascii_control() => return Err(ambiguous("an encoded control character")),
            _ if is_unreserved(byte) => decoded.push(char::from(byte)),
            _ => decoded.extend(['%', hex[0], hex[1]]),
        }
        rest = &after[2..];
    }
    decoded.push_str(rest);
    Ok(decoded)
}

/// Two hex digits in upper case, and their value.
fn read_hex(digits: &str) -> Option<([char; 2], u8)> {
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let byte = u8::from_str_radix(digits, 16).ok()?;
    let mut upper = digits.chars().map(|digit| digit.to_ascii_uppercase());
    Some(([upper.next()?, upper.next()?], byte))
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

fn check(path: &str) -> Result<(), Problem> {
    if !path.starts_with('/') || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(ambiguous("no slash at its start, or characters that must be encoded"));
    }
    if path.contains('\\') || path.contains("//") {
        return Err(ambiguous("a backslash or a double slash"));
    }
    // Some servers cut a segment off at a semicolon, and would see the dots alone.
    let mut segments = path.split('/').map(|segment| segment.split(';').next().unwrap_or_default());
    if segments.any(|segment| matches!(segment, "." | "..")) {
        return Err(ambiguous("a dot segment"));
    }
    Ok(())
}

fn ambiguous(what: &str) -> Problem {
    Problem::malformed("ambiguous_path", format!("The path has {what}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_path_stays_as_it_is() {
        for path in [
            "/",
            "/orders",
            "/orders/7/",
            "/a-b._~/c;x=1",
            "/a%20b",
            "/caf%C3%A9",
            "/%252e%252e/x",
            "/...",
            "/.well-known/x",
        ] {
            assert!(matches!(normalise(path), Ok(None)), "{path}");
        }
    }

    #[test]
    fn another_spelling_becomes_the_one_spelling() {
        for (sent, expected) in [
            ("/%6Frders", "/orders"),
            ("/a%2db", "/a-b"),
            ("/caf%c3%a9", "/caf%C3%A9"),
            ("/%7euser", "/~user"),
        ] {
            assert_eq!(normalise(sent).unwrap().as_deref(), Some(expected), "{sent}");
        }
    }

    #[test]
    fn g05_an_ambiguous_path_is_refused() {
        for path in [
            "//admin",
            "/a//b",
            "/./admin",
            "/a/../admin",
            "/a/..",
            "/.",
            "/a/%2e%2e/b",
            "/%2E/a",
            "/a/.%2e/b",
            "/a%2fb",
            "/a%2Fb",
            "/a%5cb",
            "/a\\b",
            "/a%00",
            "/a%0d%0a",
            "/a%7f",
            "/a%",
            "/a%4",
            "/a%zz",
            "/a%+1",
            "/a/..;/b",
            "/\u{e9}",
            "*",
            "",
            "a",
            "/a%\u{e9}",
        ] {
            assert_eq!(normalise(path).map_err(|problem| problem.code()), Err("ambiguous_path"), "{path:?}");
        }
    }

    #[test]
    fn a_spelling_is_normalised_once() {
        let once = normalise("/%6f%25%36f").unwrap().unwrap();
        assert_eq!(once, "/o%256f");
        assert!(matches!(normalise(&once), Ok(None)));
    }

    #[test]
    fn the_query_stays() {
        let mut uri = Uri::from_static("/%6Frders?q=%6F");
        replace(&mut uri, "/orders").unwrap();
        assert_eq!(uri, "/orders?q=%6F");
    }
}
