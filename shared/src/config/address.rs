//! Addresses of services, as the settings name them.

use url::Url;

/// Whether `text` is an `http` or `https` address that can be asked and that paths can be put behind. A login in it would
/// show in `config print` and in logs.
#[must_use]
pub fn is_base_url(text: &str) -> bool {
    let is_base = |url: Url| {
        let is_http = matches!(url.scheme(), "http" | "https");
        let has_login = !url.username().is_empty() || url.password().is_some();
        is_http && !has_login && url.host_str().is_some() && url.query().is_none() && url.fragment().is_none()
    };
    // The parser mends blanks around and single slashes; what was meant then is anybody's guess.
    text.trim() == text && text.contains("://") && Url::parse(text).is_ok_and(is_base)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_can_be_put_behind_a_base_url() {
        for good in ["http://a", "http://a:1", "https://a/b/", "http://[::1]:9/x", "http://127.0.0.1:1"] {
            assert!(is_base_url(good), "{good}");
        }
        for bad in [
            "",
            "nonsense",
            "a:1",
            "ftp://a",
            "http://",
            "http:/a",
            " http://a",
            "http://a ",
            "http://a b",
            "http://h:99999",
            "http://a?b",
            "http://h:1/?x",
            "http://h:1/?",
            "http://a#b",
            "http://u:p@a",
            "http://u@a:1",
        ] {
            assert!(!is_base_url(bad), "{bad}");
        }
    }
}
