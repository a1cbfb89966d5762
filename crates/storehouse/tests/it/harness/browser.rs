//! What every answer tells a browser: checked with each answer of each test.

use super::Answer;

/// What every answer says (`docs/security.md`, "The headers of every answer").
const BROWSER_HEADERS: &[(&str, &str)] = &[
    ("strict-transport-security", "max-age=63072000; includeSubDomains"),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("x-frame-options", "DENY"),
    ("cross-origin-resource-policy", "same-origin"),
];

impl Answer {
    /// What every answer tells a browser, each once (`docs/security.md`, G17). The pages have policies of their own.
    pub(super) fn check_browser_headers(&self) {
        let said = |name: &str| {
            let mut values = self.headers.get_all(name).iter();
            let value = values.next().map_or("", |value| value.to_str().unwrap());
            assert!(values.next().is_none(), "{}: {name} stands twice", self.what);
            value
        };
        for (name, value) in BROWSER_HEADERS {
            assert_eq!(said(name), *value, "{}: {name}", self.what);
        }
        let (policy, kept) = (said("content-security-policy"), said("cache-control"));
        match said("content-type") {
            "text/html; charset=utf-8" => {
                assert!(policy.starts_with("default-src 'none'; "), "{}: {policy}", self.what);
                let ends = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
                assert!(policy.ends_with(ends), "{}: {policy}", self.what);
                assert_eq!(said("cross-origin-opener-policy"), "same-origin");
                assert!(said("permissions-policy").contains("camera=()"));
            }
            // The script of the page, whose name has its version.
            "text/javascript; charset=utf-8" => assert!(kept.ends_with("immutable"), "{}: {kept}", self.what),
            _ => {
                assert_eq!(policy, "default-src 'none'; frame-ancestors 'none'", "{}", self.what);
                assert_eq!(kept, "no-store", "{}", self.what);
            }
        }
        assert_eq!(said("server"), "", "{}", self.what);
        assert_eq!(said("x-powered-by"), "", "{}", self.what);
    }
}
