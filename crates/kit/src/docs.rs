//! The API reference: a page that draws `openapi.json` of the same origin, from files in the binary, so it works offline.

use axum::Router;
use axum::response::IntoResponse;
use axum::routing::get;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE};

use crate::browser;

/// Where the page is served.
pub const PAGE_PATH: &str = "/docs";

/// Where the page looks for its script; the version in the name lets a browser keep the file for ever.
pub const SCRIPT_PATH: &str = "/docs/rapidoc-9.3.8.js";

const PAGE: &str = include_str!("../assets/docs.html");
const SCRIPT_GZIP: &[u8] = include_bytes!("../assets/rapidoc-9.3.8.js.gz");

/// Scripts and requests reach this origin alone; styles are inline because the renderer writes its theme into the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'unsafe-inline'; \
                      img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page and its script.
pub fn router() -> Router {
    Router::new().route(PAGE_PATH, get(docs_page)).route(SCRIPT_PATH, get(docs_script))
}

/// `GET /docs`: the page.
pub async fn docs_page() -> impl IntoResponse {
    let headers = [(CONTENT_TYPE, "text/html; charset=utf-8"), (CACHE_CONTROL, "no-cache")];
    (browser::page(POLICY), headers, PAGE)
}

/// `GET /docs/rapidoc-….js`: the renderer. It is kept compressed only, which every browser reads.
pub async fn docs_script() -> impl IntoResponse {
    let headers = [
        (CONTENT_TYPE, "text/javascript; charset=utf-8"),
        (CONTENT_ENCODING, "gzip"),
        (CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    (headers, SCRIPT_GZIP)
}

#[cfg(test)]
mod tests {
    use http::header::CONTENT_SECURITY_POLICY;

    use super::*;

    #[test]
    fn the_page_asks_for_nothing_from_elsewhere() {
        assert!(
            PAGE.contains(&SCRIPT_PATH[1..]),
            "the page names the script by its path, relative to its own"
        );
        assert!(PAGE.contains(r#"spec-url="openapi.json""#));
        assert!(PAGE.contains(r#"load-fonts="false""#), "the renderer would else fetch fonts");
        assert!(!PAGE.contains("http:") && !PAGE.contains("https:"));
    }

    #[tokio::test]
    async fn page_and_script_carry_their_headers() {
        let page = docs_page().await.into_response();
        assert_eq!(page.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
        assert_eq!(page.headers()[CONTENT_SECURITY_POLICY], POLICY);
        let script = docs_script().await.into_response();
        assert_eq!(script.headers()[CONTENT_ENCODING], "gzip");
        assert!(SCRIPT_GZIP.starts_with(&[0x1f, 0x8b]));
    }
}
