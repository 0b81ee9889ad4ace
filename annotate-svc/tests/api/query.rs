//! Queries: section 4 of the contract, and the seed's examples.

use crate::rig::{Answer, Rig};
use serde_json::json;

fn messages(answer: Answer) -> Vec<String> {
    let list = answer.ok();
    list.as_array().unwrap().iter().map(|one| one["Message"].as_str().unwrap().to_owned()).collect()
}

#[actix_web::test]
async fn seed_example_answers_as_documented() {
    let rig = Rig::new();
    let mut expected = Vec::new();
    for category in ["outage", "test"] {
        let mut document = json!({"Message": "test", "CreationUser": "kbrandt", "Url": "", "Source": "annotate-ui",
            "Host": "", "Owner": "sre", "Category": category, "StartDate": "2016-02-24T22:10:36-05:00",
            "EndDate": "2016-02-24T22:10:36-05:00"});
        document["Id"] = json!(rig.create(document.clone()).await);
        expected.push(document);
    }
    expected.sort_by_key(|document| document["Id"].as_str().unwrap().to_owned());
    let uri = "/annotation/query?StartDate=2016-02-23T10:09:13-05:00&EndDate=2016-02-26T10:09:13-05:00";
    assert_eq!(rig.get(uri).await.ok(), json!(expected));
    let epoch = rig.get(&format!("{uri}&Epoch=1")).await.ok();
    assert_eq!(epoch[0]["StartDate"], json!(1456369836));
}

#[actix_web::test]
async fn window_takes_what_touches_it() {
    let rig = Rig::new();
    for (name, start, end) in [
        ("before", 10, 99),
        ("touches start", 10, 100),
        ("inside", 150, 160),
        ("covers", 0, 9_000_000),
        ("touches end", 200, 300),
        ("after", 201, 300),
        ("point at end", 200, 200),
    ] {
        rig.create(json!({"Message": name, "StartDate": start, "EndDate": end})).await;
    }
    let found = messages(rig.get("/annotation/query?StartDate=100&EndDate=200").await);
    let (ordered, last) = found.split_at(3);
    assert_eq!(ordered, ["covers", "touches start", "inside"]);
    let mut last = last.to_vec();
    last.sort_unstable();
    assert_eq!(last, ["point at end", "touches end"]);
    // Turned around it holds what covers it; the two forms of dates mix.
    let turned = rig.get("/annotation/query?StartDate=1970-01-01T00:03:20Z&EndDate=160").await;
    assert_eq!(messages(turned), ["covers"]);
}

#[actix_web::test]
async fn window_is_the_last_day_unless_given() {
    let rig = Rig::new();
    for (name, date) in [
        ("old", "2016-02-24T03:08:41Z"),
        ("recent", "2016-02-24T03:08:42Z"),
        ("now", "2016-02-25T03:08:41Z"),
        ("future", "2016-02-25T03:08:43Z"),
    ] {
        rig.create(json!({"Message": name, "StartDate": date})).await;
    }
    assert_eq!(messages(rig.get("/annotation/query").await), ["recent", "now"]);
    assert_eq!(messages(rig.get("/annotation/query?StartDate=&EndDate=").await), ["recent", "now"]);
    // Only an end given: the start stays a day before now.
    assert_eq!(messages(rig.get("/annotation/query?EndDate=2016-02-24T03:08:42Z").await), ["recent"]);
}

#[actix_web::test]
async fn verbs_and_negations() {
    let rig = Rig::new();
    for (message, owner, host) in
        [("1", "sre", "web01"), ("2", "sre", ""), ("3", "", "web01"), ("4", "Sre", "web02")]
    {
        rig.create(json!({"Message": message, "Owner": owner, "Host": host})).await;
    }
    let cases: [(&str, &[&str]); 15] = [
        ("Owner=sre", &["1", "2"]),
        ("Owner:Is=sre", &["1", "2"]),
        ("Owner=Sre", &["4"]),
        ("Owner=sr", &[]),
        ("Owner=", &["3"]),
        ("Owner:Empty", &["3"]),
        ("Owner:Empty=sre", &["3"]),
        ("Owner:Is:Not=sre", &["3", "4"]),
        ("Owner::Not=sre", &["3", "4"]),
        ("Owner:Empty:Not=", &["1", "2", "4"]),
        // As the Grafana plugin sends them.
        ("Owner%3A%3AEmpty=sre", &["3", "4"]),
        ("Owner%3AEmpty%3AEmpty=", &["1", "2", "4"]),
        ("Owner=sre&Host=web01", &["1"]),
        ("Owner=sre&Owner=Sre", &["1", "2"]),
        ("Owner=%00", &[]),
    ];
    for (query, expected) in cases {
        let mut found = messages(rig.get(&format!("/annotation/query?{query}")).await);
        found.sort_unstable();
        assert_eq!(found, expected, "{query}");
    }
}

#[actix_web::test]
async fn url_is_filtered_exactly() {
    let rig = Rig::new();
    rig.create(json!({"Message": "1", "Url": "http://bosun.org"})).await;
    rig.create(json!({"Message": "2"})).await;
    assert_eq!(messages(rig.get("/annotation/query?Url=http://bosun.org").await), ["1"]);
    assert_eq!(messages(rig.get("/annotation/query?Url:Empty").await), ["2"]);
    assert_eq!(messages(rig.get("/annotation/query?Url::Not=http://bosun.org").await), ["2"]);
}

#[actix_web::test]
async fn wrong_queries_answer_the_original_texts() {
    let rig = Rig::new();
    let date = |name: &str, value: &str, rest: &str, element: &str| {
        format!(
            "couldn't parse {name} as RFC3339 or epoch: parsing time \"{value}\" as \"2006-01-02T15:04:05Z07:00\": \
         cannot parse \"{rest}\" as \"{element}\", strconv.ParseInt: parsing \"{value}\": invalid syntax"
        )
    };
    let cases = [
        ("Foo=1", "Foo is not a valid query field".to_owned()),
        ("owner=1", "owner is not a valid query field".into()),
        ("Foo:Is:Not=1&StartDate=xx", "Foo:Is:Not is not a valid query field".into()),
        ("Owner:Like=x", "Like is not a valid query verb".into()),
        ("Message:Empty", "message field does not support empty searches".into()),
        // The seed's example.
        ("StartDate=2016-02-23T10:09:13-05:00&EndDate=2016-02-a26T10:09:13-05:00",
            date("EndDate", "2016-02-a26T10:09:13-05:00", "a26T10:09:13-05:00", "02")),
        ("StartDate=xx", date("StartDate", "xx", "xx", "2006")),
        ("StartDate=2016-02-24+22:08:41", date("StartDate", "2016-02-24 22:08:41", " 22:08:41", "T")),
        // A plus that was not encoded.
        ("StartDate=2016-02-24T22:08:41+05:00", date("StartDate", "2016-02-24T22:08:41 05:00", "", "Z07:00")),
        ("EndDate=99999999999999999999", "couldn't parse EndDate as RFC3339 or epoch: parsing time \
            \"99999999999999999999\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"9999999999999999\" as \"-\", \
            strconv.ParseInt: parsing \"99999999999999999999\": value out of range".into()),
        ("EndDate=2016-02-24T25:00:00Z", "couldn't parse EndDate as RFC3339 or epoch: parsing time \
            \"2016-02-24T25:00:00Z\": hour out of range, strconv.ParseInt: parsing \"2016-02-24T25:00:00Z\": \
            invalid syntax".into()),
    ];
    for (query, expected) in cases {
        assert_eq!(rig.get(&format!("/annotation/query?{query}")).await.error(500), expected, "{query}");
    }
    // The plus encoded works, and so do times beyond all dates.
    rig.get("/annotation/query?StartDate=2016-02-24T22:08:41%2B05:00").await.ok();
    rig.get("/annotation/query?StartDate=-9223372036854775808&EndDate=9223372036854775807").await.ok();
}

#[actix_web::test]
async fn durations_of_all_classes_are_found_from_inside_and_outside() {
    let rig = Rig::new();
    let (hour, day) = (3600_i64, 86_400_i64);
    let durations = [
        0,
        1,
        hour,
        hour + 1,
        day,
        day + 1,
        8 * day,
        8 * day + 1,
        64 * day + 1,
        512 * day + 1,
        4096 * day + 1,
    ];
    for duration in durations {
        rig.create(
            json!({"Message": duration.to_string(), "StartDate": 1_000_000, "EndDate": 1_000_000 + duration}),
        )
        .await;
    }
    for (place, duration) in durations.iter().enumerate() {
        let at = 1_000_000 + duration;
        let found = messages(rig.get(&format!("/annotation/query?StartDate={at}&EndDate={at}")).await);
        assert_eq!(found.len(), durations.len() - place, "window at the end of {duration}");
    }
    let found = messages(rig.get("/annotation/query?StartDate=0&EndDate=999999").await);
    assert!(found.is_empty());
}
