//! CORS: section 7 of the contract.

use crate::rig::{Answer, Rig};
use annotate_svc::config::Config;

const ORIGIN: &str = "access-control-allow-origin";

async fn from(rig: &Rig, method: &str, uri: &str, asked: Option<&'static str>) -> Answer {
    let request = rig.request(method, uri, "{}").header("origin", "https://grafana.example");
    match asked {
        Some(asked) => request.header("access-control-request-method", asked).send().await,
        None => request.send().await,
    }
}

#[actix_web::test]
async fn reads_are_open_and_writes_are_not() {
    let rig = Rig::new();
    for uri in ["/annotation/query", "/api/annotation/values/Owner", "/annotation/x", "/annotation/table"] {
        assert_eq!(from(&rig, "GET", uri, None).await.header(ORIGIN), Some("*"), "{uri}");
        let preflight = from(&rig, "OPTIONS", uri, Some("GET")).await;
        assert_eq!((preflight.status.as_u16(), preflight.header(ORIGIN)), (204, Some("*")));
        assert_eq!(preflight.header("access-control-allow-methods"), Some("GET, OPTIONS"));
    }
    for (uri, method) in [("/annotation", "POST"), ("/annotation/x", "DELETE"), ("/annotation/x", "PUT")] {
        assert_eq!(from(&rig, method, uri, None).await.header(ORIGIN), None, "{method} {uri}");
        assert_eq!(from(&rig, "OPTIONS", uri, Some(method)).await.header(ORIGIN), None);
    }
    // Data sources read with POST.
    for uri in ["/annotations", "/search", "/tag-keys", "/tag-values", "/query"] {
        let preflight = from(&rig, "OPTIONS", uri, Some("POST")).await;
        assert_eq!((preflight.status.as_u16(), preflight.header(ORIGIN)), (204, Some("*")));
        assert_eq!(preflight.header("access-control-allow-headers"), Some("accept, content-type"));
        assert_eq!(preflight.header("access-control-allow-methods"), Some("POST, OPTIONS"));
        assert_eq!(preflight.header("allow"), Some("GET, POST, OPTIONS"), "the page is there, too");
        assert_eq!(from(&rig, "POST", uri, None).await.header(ORIGIN), Some("*"));
    }
}

#[actix_web::test]
async fn origins_can_be_listed() {
    let listed = vec!["https://grafana.example".to_owned()];
    let rig = Rig::with(Config { cors_origins: listed.clone(), ..Config::default() });
    let answer = from(&rig, "GET", "/annotation/query", None).await;
    assert_eq!(
        (answer.header(ORIGIN), answer.header("vary")),
        (Some("https://grafana.example"), Some("Origin"))
    );
    assert_eq!(from(&rig, "POST", "/annotation", None).await.header(ORIGIN), None);
    let stranger =
        rig.request("GET", "/annotation/query", "").header("origin", "https://evil.example").send().await;
    assert_eq!(stranger.header(ORIGIN), None);

    let rig = Rig::with(Config { cors_origins: Vec::new(), cors_write_origins: listed, ..Config::default() });
    for (method, uri) in [("POST", "/annotation"), ("GET", "/annotation/query")] {
        let answer = from(&rig, method, uri, None).await;
        assert_eq!(answer.header(ORIGIN), Some("https://grafana.example"));
        assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
    }
    assert_eq!(rig.get("/annotation/query").await.header(ORIGIN), None);
    let everyone = Config { cors_write_origins: vec!["*".into()], ..Config::default() };
    assert!(everyone.validate().is_err());
}
