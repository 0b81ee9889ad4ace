//! Origins of web pages, as the lists of those that may read or write name them.

use actix_web::http::Uri;

/// Whether a browser could send `text` as its `Origin`: scheme and host in small letters, the port unless it is the
/// scheme's own, and nothing behind (RFC 6454, section 6.2).
#[must_use]
pub fn is_origin(text: &str) -> bool {
    let Ok(uri) = text.parse::<Uri>() else { return false };
    let (Some(scheme), Some(host)) = (uri.scheme_str(), uri.host()) else { return false };
    let own_port = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return false,
    };
    let port = uri.port_u16().filter(|port| *port != own_port);
    let sent = port.map_or_else(|| format!("{scheme}://{host}"), |port| format!("{scheme}://{host}:{port}"));
    let is_small = !host.is_empty() && !host.contains(|c: char| c.is_ascii_uppercase() || c == '*');
    is_small && sent == text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_what_a_browser_sends() {
        for good in
            ["https://grafana.example.com", "http://localhost:3000", "http://[::1]:8080", "http://a:443"]
        {
            assert!(is_origin(good), "{good}");
        }
        for bad in [
            "",
            "*",
            "null",
            "example.com",
            "https://a/",
            "https://a/b",
            "https://a?b",
            "https://a#b",
            "https://A.example",
            "HTTPS://a",
            "https://a:443",
            "http://a:80",
            "http://a:",
            "http://a:99999",
            "http://u:p@a",
            "https://*.example",
            "ftp://a",
            "https://a b",
            "https://",
        ] {
            assert!(!is_origin(bad), "{bad}");
        }
    }
}
