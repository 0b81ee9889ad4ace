//! `/v2/event_types` and below (events-v2.md, sections 6 and 8).

use super::posted;
use crate::common::Fixture;
use serde_json::json;

async fn typed() -> Fixture {
    let fixture = Fixture::new();
    let events = json!([
        posted(
            "1",
            "zz.beta",
            "2024-01-01T00:00:00",
            json!([["type", 1, "a"], ["n", 2, 7], ["n", 1, "seven"]])
        ),
        posted(
            "2",
            "zz.beta",
            "2024-01-01T00:00:01",
            json!([["ate", 2, 1], ["n", 2, 8], ["d", 4, "2019-01-01T00:00:00"]])
        ),
        posted("3", "zz.alpha", "2024-01-01T00:00:02", json!([["f", 3, 3.0]])),
        posted("4", "ZZ.é <x>", "2024-01-01T00:00:03", json!([])),
    ]);
    assert_eq!(fixture.post(&events).await.json()["saved"], 4);
    // A repeat leaves no type behind.
    let repeat = posted("1", "zz.dropped", "2024-01-01T00:00:00", json!([["new", 1, "x"]]));
    assert_eq!(fixture.post(&repeat).await.json()["duplicate"], 1);
    fixture
}

#[actix_web::test]
async fn types_of_stored_events_are_listed_in_order() {
    let fixture = typed().await;
    for path in ["/v2/event_types", "/v2/event_types/"] {
        assert_eq!(fixture.admin_gets(path).await.json(), json!(["ZZ.é <x>", "zz.alpha", "zz.beta"]));
    }
    let xml = fixture.admin_gets_as("application/xml", "/v2/event_types").await;
    assert_eq!(
        xml.body,
        "<result><item>ZZ.é &lt;x&gt;</item><item>zz.alpha</item><item>zz.beta</item></result>"
    );
    assert_eq!(Fixture::new().admin_gets("/v2/event_types").await.body, "[]");
}

#[actix_web::test]
async fn traits_of_a_type_are_listed_once_for_each_name_and_type() {
    let fixture = typed().await;
    let described = |name: &str, kind: &str| json!({"type": kind, "name": name});
    let expected = json!([
        described("n", "string"),
        described("type", "string"),
        described("ate", "integer"),
        described("n", "integer"),
        described("d", "datetime"),
    ]);
    for path in ["/v2/event_types/zz.beta/traits", "/v2/event_types/zz%2Ebeta/traits/"] {
        assert_eq!(fixture.admin_gets(path).await.json(), expected);
    }
    for path in
        ["/v2/event_types/none/traits", "/v2/event_types/%00/traits", "/v2/event_types/zz.dropped/traits"]
    {
        assert_eq!(fixture.admin_gets(path).await.body, "[]");
    }
    let xml = fixture.admin_gets_as("application/xml", "/v2/event_types/zz.alpha/traits").await;
    assert_eq!(xml.body, "<result><item><type>float</type><name>f</name></item></result>");
}

#[actix_web::test]
async fn values_of_a_trait_are_grouped_by_type() {
    let fixture = typed().await;
    let value = |value: &str, kind: &str| json!({"name": "n", "value": value, "type": kind});
    let expected = json!([value("seven", "string"), value("7", "integer"), value("8", "integer")]);
    for path in ["/v2/event_types/zz.beta/traits/n", "/v2/event_types/zz.beta/traits/n/"] {
        assert_eq!(fixture.admin_gets(path).await.json(), expected);
    }
    for path in ["zz.beta/traits/none", "none/traits/n", "%00/traits/n", "zz.beta/traits/%00"] {
        assert_eq!(fixture.admin_gets(&format!("/v2/event_types/{path}")).await.body, "[]");
    }
    let xml = fixture.admin_gets_as("text/xml", "/v2/event_types/zz.alpha/traits/f").await;
    assert_eq!(xml.body, "<result><item><name>f</name><value>3.0</value><type>float</type></item></result>");
}
