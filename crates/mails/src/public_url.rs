//! Where people find the system: what links in mails begin with. It is a setting, never what a request says of its host, which anybody can choose.

use std::str::FromStr;

use http::Uri;
use kit::fields::Invalid;
use kit::secret::Secret;

/// `https://shop.example.com`, perhaps with a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl(String);

impl PublicUrl {
    /// Whether what is sent there can be read on the way.
    pub fn is_encrypted(&self) -> bool {
        self.0.starts_with("https://")
    }

    /// The address of a page with a token in its fragment, which a browser sends to nobody: no log of a server on the way has it.
    pub(crate) fn link(&self, page: &str, token: &Secret) -> String {
        format!("{}/{page}#token={}", self.0, token.expose())
    }
}

impl FromStr for PublicUrl {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let refused = || Invalid::value("must be an address such as https://shop.example.com");
        let uri: Uri = text.parse().map_err(|_| refused())?;
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let is_web = matches!(uri.scheme_str(), Some("https" | "http"));
        let is_plain = uri.query().is_none() && !text.contains('#') && !authority.contains('@');
        if is_web && is_plain && uri.host().is_some_and(|host| !host.is_empty()) {
            Ok(Self(text.trim_end_matches('/').to_owned()))
        } else {
            Err(refused())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_has_its_token_where_no_server_sees_it() {
        let token = Secret::new("abc");
        for (url, link) in [
            ("https://shop.example.com", "https://shop.example.com/reset-password#token=abc"),
            ("http://localhost:8000/app/", "http://localhost:8000/app/reset-password#token=abc"),
        ] {
            assert_eq!(url.parse::<PublicUrl>().unwrap().link("reset-password", &token), link);
        }
        for bad in [
            "",
            "shop.example.com",
            "ftp://x",
            "https://",
            "https://x/?a=b",
            "https://x/#a",
            "https://a:b@x",
            "/path",
        ] {
            assert!(bad.parse::<PublicUrl>().is_err(), "{bad}");
        }
    }
}
