//! What queries can do beyond the original: words, pages, orders, the filter language (sections 10 and 11).

use crate::rig::Rig;
use annotate_svc::config::Config;
use serde_json::json;

async fn messages(rig: &Rig, query: &str) -> Vec<String> {
    let list = rig.get(&format!("/annotation/query?StartDate=0&EndDate=9999&{query}")).await.ok();
    list.as_array().unwrap().iter().map(|one| one["Message"].as_str().unwrap().to_owned()).collect()
}

#[actix_web::test]
async fn words_are_found_in_messages() {
    let rig = Rig::new();
    for (place, message) in
        ["Deploy of web-01 done", "deployment failed", "Web 01 rebooted", "ÉTÉ sur la plage", "日本 outage"]
            .iter()
            .enumerate()
    {
        rig.create(json!({"Message": message, "StartDate": place})).await;
    }
    let cases: [(&str, &[&str]); 14] = [
        ("deploy", &["Deploy of web-01 done"]),
        ("deploy*", &["Deploy of web-01 done", "deployment failed"]),
        ("DONE+deploy", &["Deploy of web-01 done"]),
        ("web-01", &["Deploy of web-01 done", "Web 01 rebooted"]),
        ("01+web", &["Deploy of web-01 done", "Web 01 rebooted"]),
        ("%2201+web%22", &[]),
        ("%22of+web%22", &["Deploy of web-01 done"]),
        ("%22of+we*%22", &["Deploy of web-01 done"]),
        ("été", &["ÉTÉ sur la plage"]),
        ("日本", &["日本 outage"]),
        ("日", &[]),
        ("or", &[]),
        ("%22unclosed+web", &[]),
        ("%22web+01", &["Deploy of web-01 done", "Web 01 rebooted"]),
    ];
    for (words, expected) in cases {
        let encoded =
            words.replace('é', "%C3%A9").replace("日本", "%E6%97%A5%E6%9C%AC").replace('日', "%E6%97%A5");
        assert_eq!(messages(&rig, &format!("Message={encoded}")).await, expected, "{words}");
    }
    assert_eq!(messages(&rig, "Message:Is:Not=web").await.len(), 3);
    assert_eq!(messages(&rig, "Message=web&Message:Is=rebooted").await, ["Web 01 rebooted"]);
    for empty in ["Message=", "Message=%21%21", "Message:Is=", "Message::Not=", "Message=%22%22"] {
        let answer = rig.get(&format!("/annotation/query?{empty}")).await;
        assert_eq!(answer.error(500), "message field does not support empty searches", "{empty}");
    }
    // A replaced or deleted message is not found by its old words.
    let id = rig.create(json!({"Message": "transient", "StartDate": 1})).await;
    rig.put(&format!("/annotation/{id}"), json!({"Message": "lasting", "StartDate": 1}).to_string())
        .await
        .ok();
    assert!(messages(&rig, "Message=transient").await.is_empty());
    assert_eq!(messages(&rig, "Message=lasting").await, ["lasting"]);
    rig.delete(&format!("/annotation/{id}")).await;
    assert!(messages(&rig, "Message=lasting").await.is_empty());
}

#[actix_web::test]
async fn words_are_found_alike_when_they_are_in_many_messages() {
    let rig = Rig::new();
    let many: Vec<_> =
        (0..2500).map(|n| json!({"Message": format!("common n{n} {}", n % 2), "StartDate": n})).collect();
    rig.post("/annotation", json!(many).to_string()).await.ok();
    assert_eq!(messages(&rig, "Message=common").await.len(), 2500);
    assert_eq!(messages(&rig, "Message=common+n77").await, ["common n77 1"]);
    assert_eq!(messages(&rig, "Message=%22common+n7*%22").await.len(), 1 + 10 + 100);
    let window = rig.get("/annotation/query?StartDate=100&EndDate=109&Message=common+1").await.ok();
    assert_eq!(window.as_array().unwrap().len(), 5);
}

#[actix_web::test]
async fn relevance_puts_the_best_match_first() {
    let rig = Rig::new();
    for (message, at) in [
        ("disk", 1),
        ("the disk of a host with many other words about other things", 2),
        ("disk disk disk", 3),
    ] {
        rig.create(json!({"Message": message, "StartDate": at})).await;
    }
    let found = messages(&rig, "Message=disk&order=relevance").await;
    assert_eq!(found.len(), 3);
    assert_eq!(found[0], "disk disk disk");
    let first = rig
        .get("/annotation/query?StartDate=0&EndDate=9999&Message=disk&order=relevance&limit=1&total=1")
        .await;
    assert_eq!(first.header("x-total-count"), Some("3"));
    assert_eq!(first.ok().as_array().unwrap().len(), 1);
    let uncounted = rig.get("/annotation/query?StartDate=0&EndDate=9999&Message=disk&order=relevance").await;
    assert_eq!(uncounted.header("x-total-count"), None);
    let answer = rig.get("/annotation/query?order=relevance").await;
    assert!(answer.error(400).starts_with("order=relevance needs Message"));
}

#[actix_web::test]
async fn pages_go_on_where_the_last_one_ended() {
    let rig = Rig::new();
    // Many begin in one second: only their ids tell them apart.
    let many: Vec<_> = (0..25)
        .map(|n| json!({"Message": n.to_string(), "StartDate": n / 10, "EndDate": 5000 + n}))
        .collect();
    rig.post("/annotation", json!(many).to_string()).await.ok();
    let all = messages(&rig, "").await;
    for (order, expected) in [("oldest", all.clone()), ("newest", all.iter().rev().cloned().collect())] {
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let answer = rig
                .get(&format!(
                    "/annotation/query?StartDate=0&EndDate=9999&limit=7&order={order}&total=1{cursor}"
                ))
                .await;
            assert_eq!(answer.header("x-total-count"), Some("25"));
            let next = answer.header("x-next-cursor").map(str::to_owned);
            let page = answer.ok();
            assert!(page.as_array().unwrap().len() <= 7);
            found.extend(
                page.as_array().unwrap().iter().map(|one| one["Message"].as_str().unwrap().to_owned()),
            );
            match next {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(found, expected, "{order}");
    }
    // A page that ends with the list names no next one.
    let exact = rig.get("/annotation/query?StartDate=0&EndDate=9999&limit=25").await;
    assert_eq!(exact.header("x-next-cursor"), None);
    for bad in ["limit=0", "limit=x", "limit=-1", "cursor=x", "cursor=1.2", "order=up", "total=2"] {
        rig.get(&format!("/annotation/query?{bad}")).await.error(400);
    }
}

#[actix_web::test]
async fn a_page_has_no_more_than_the_settings_allow_whatever_the_client_names() {
    let rig = Rig::with(Config { max_page: 2, max_values: 1, ..Config::default() });
    for owner in ["a", "a", "b"] {
        rig.post("/annotation", json!({ "Owner": owner, "StartDate": 1 }).to_string()).await.ok();
    }
    let page = rig.get("/annotation/query?StartDate=0&EndDate=9&limit=200").await;
    let next = page.header("x-next-cursor").unwrap().to_owned();
    assert_eq!(page.ok().as_array().unwrap().len(), 2);
    let rest = rig.get(&format!("/annotation/query?StartDate=0&EndDate=9&limit=200&cursor={next}")).await;
    assert_eq!(rest.ok().as_array().unwrap().len(), 1);
    assert_eq!(rig.get("/annotation/values/Owner?limit=200").await.ok(), json!(["a"]));
}

#[actix_web::test]
async fn large_answers_are_whole() {
    let rig = Rig::new();
    let many: Vec<_> = (0..2300).map(|n| json!({"Message": n.to_string(), "StartDate": n})).collect();
    rig.post("/annotation", json!(many).to_string()).await.ok();
    let expected: Vec<String> = (0..2300).map(|n| n.to_string()).collect();
    assert_eq!(messages(&rig, "").await, expected);
    assert_eq!(messages(&rig, "filter=message:*9").await.len(), 230);
}

#[actix_web::test]
async fn filter_language_finds_by_globs_and_operators() {
    let rig = Rig::new();
    for (message, owner, user, host) in [
        ("1", "sre", "ada", "web01"),
        ("2", "SRE", "", "web02"),
        ("3", "ops", "bob", ""),
        ("4", "", "", "db01"),
    ] {
        rig.create(json!({"Message": message, "Owner": owner, "CreationUser": user, "Host": host,
            "StartDate": message.parse::<i64>().unwrap()}))
            .await;
    }
    let cases: [(&str, &[&str]); 9] = [
        ("owner:sre", &["1", "2"]),
        ("owner:sre AND ! user:empty", &["1"]),
        ("host:web*", &["1", "2"]),
        ("owner:empty", &["4"]),
        ("! owner:empty", &["1", "2", "3"]),
        ("user:bob OR host:db01", &["3", "4"]),
        ("user:BOB", &["3"]),
        ("owner:nobody", &[]),
        ("", &["1", "2", "3", "4"]),
    ];
    for (filter, expected) in cases {
        let encoded = filter.replace(' ', "+").replace('!', "%21");
        assert_eq!(messages(&rig, &format!("filter={encoded}")).await, expected, "{filter}");
    }
    assert_eq!(messages(&rig, "filter=host:web*&Owner=SRE").await, ["2"]);
    for (filter, expected) in
        [("sre", "bad filter, filter must be in k:v format, got sre"), ("foo:x", "invalid keyword: foo")]
    {
        assert_eq!(rig.get(&format!("/annotation/query?filter={filter}")).await.error(400), expected);
    }
}

#[actix_web::test]
async fn values_of_a_window_are_those_of_its_annotations() {
    let rig = Rig::new();
    for (owner, category, at) in [("a", "x", 10), ("a", "y", 20), ("b", "y", 30), ("c", "y", 40)] {
        rig.create(json!({"Owner": owner, "Category": category, "StartDate": at})).await;
    }
    let rig = &rig;
    let values =
        |query: &'static str| async move { rig.get(&format!("/annotation/values/{query}")).await.ok() };
    assert_eq!(values("Owner?StartDate=10&EndDate=30").await, json!(["a", "b"]));
    assert_eq!(
        values("Owner?StartDate=0&EndDate=99&Category=y&counts=1").await,
        json!([{"Value": "a", "Count": 1}, {"Value": "b", "Count": 1}, {"Value": "c", "Count": 1}])
    );
    assert_eq!(values("Category?counts=1&limit=1").await, json!([{"Value": "y", "Count": 3}]));
    assert_eq!(values("Category?StartDate=0&EndDate=99&filter=owner:a").await, json!(["x", "y"]));
    let answer = rig.get("/annotation/values/Owner?Foo=1").await;
    assert_eq!(answer.error(500), "Foo is not a valid query field");
}

#[actix_web::test]
async fn table_has_the_columns_asked_for_newest_first() {
    let rig = Rig::new();
    rig.create(json!({"Owner": "sre", "Message": "m1", "StartDate": "1970-01-01T01:00:10+01:00", "EndDate": "1970-01-01T01:01:15Z",
        "Url": "http://bosun.org/a-rather-long-path-that-is-cut?q=<1>&2"})).await;
    rig.create(json!({"Owner": "ops", "Message": "m2", "StartDate": 20, "EndDate": 20, "Url": "javascript:alert(1)"})).await;
    let query = "/annotation/table?StartDate=0&EndDate=99";
    let table = rig.get(&format!("{query}&columns=start,end,owner,duration,message")).await.ok();
    assert_eq!(
        table,
        json!({"Columns": ["start", "end", "owner", "duration", "message"], "Rows": [
        ["1970-01-01T00:00:20Z", "1970-01-01T00:00:20Z", "ops", "000:00:00", "m2"],
        // An hour, a minute and five seconds.
        ["1970-01-01T01:00:10+01:00", "1970-01-01T01:01:15Z", "sre", "001:01:05", "m1"]]})
    );
    let links = rig.get(&format!("{query}&columns=link&Epoch=1")).await.ok();
    assert_eq!(
        links["Rows"],
        json!([
            ["javascript:alert(1)"],
            [
                "<a href=\"http://bosun.org/a-rather-long-path-that-is-cut?q=&lt;1&gt;&amp;2\" target=\"_blank\" \
          rel=\"noopener noreferrer\">http://bosun.org/a-rather-long-path-that</a>"
            ]
        ])
    );
    let all = rig.get(&format!("{query}&filter=owner:ops")).await.ok();
    assert_eq!(
        all["Columns"],
        json!(["start", "end", "owner", "user", "host", "category", "url", "link", "message", "duration"])
    );
    let answer = rig.get(&format!("{query}&columns=start,foo")).await;
    assert_eq!(
        answer.error(400),
        "foo is not a valid column, must be start, end, owner, user, host, category, url, link, or message"
    );
}

#[actix_web::test]
async fn stats_count_the_part_inside_the_window() {
    let rig = Rig::new();
    // Window 100 to 200. By arithmetic: inside 1; half inside 0.5; a quarter inside 0.25; covering 1; a point 1.
    for (start, end) in [(110, 120), (50, 150), (175, 275), (0, 1000), (160, 160)] {
        rig.create(json!({"StartDate": start, "EndDate": end})).await;
    }
    let stats = rig.get("/annotation/stats?StartDate=100&EndDate=200&Epoch=1").await.ok();
    // Newest first: 175, 160, 110, 50, 0.
    assert_eq!(
        stats,
        json!({"StartDate": 100, "EndDate": 200, "Count": 5, "Counts": [0.25, 1.0, 1.0, 0.5, 1.0],
        "CountsSum": 3.75, "Durations": [25.0, 0.0, 10.0, 50.0, 100.0], "DurationsSum": 185.0})
    );
    let none = rig.get("/annotation/stats?StartDate=5000&EndDate=5001&Epoch=1").await.ok();
    assert_eq!((&none["Counts"], &none["CountsSum"]), (&json!([]), &json!(null)));
}

#[actix_web::test]
async fn tables_and_figures_refuse_more_than_they_can_hold() {
    let rig = Rig::with(Config { max_rows: 3, ..Config::default() });
    rig.post("/annotation", json!([{}, {}, {}, {}]).to_string()).await.ok();
    for uri in ["/annotation/table", "/annotation/stats", "/annotation/values/Owner?Owner="] {
        assert_eq!(
            rig.get(uri).await.error(400),
            "more than 3 annotations match: narrow the window or the filter"
        );
    }
    let counted = rig.get("/annotation/query?total=1").await;
    assert_eq!(counted.header("x-total-count"), Some("3+"));
}

#[actix_web::test]
async fn hostile_queries_are_answered() {
    let rig = Rig::new();
    rig.create(json!({"Owner": "x' OR '1'='1"})).await;
    let injected = rig.get("/annotation/query?Owner=x%27+OR+%271%27=%271").await.ok();
    assert_eq!(injected.as_array().unwrap().len(), 1);
    for query in [
        "Owner=%27%3B+DROP+TABLE+annotations%3B--",
        "Message=%22+OR+%22",
        "Message=a*b*c*",
        "Message=NEAR(a+b)",
        "Owner=%FF%FE",
        "Owner=%zz",
        "%zz=1",
        "&&=&",
        "Message=%27%5C+%26+%7C+%21+%3A*",
        "filter=owner:%25_%27",
    ] {
        let answer = rig.get(&format!("/annotation/query?{query}")).await;
        assert!([200, 400, 500].contains(&answer.status.as_u16()), "{query}: {answer:?}");
        assert!(!answer.text.contains("storage"), "{query}: {answer:?}");
    }
    let many: Vec<String> = (0..40).map(|n| format!("Owner:Is:{n}=x")).collect();
    let answer = rig.get(&format!("/annotation/query?{}", many.join("&"))).await;
    assert_eq!(answer.error(400), "a query may have at most 32 conditions");
    let words = vec!["w"; 33].join("+");
    assert_eq!(
        rig.get(&format!("/annotation/query?Message={words}")).await.error(400),
        "a search may have at most 32 words"
    );
    rig.get(&format!("/annotation/query?{}", many[..32].join("&"))).await.ok();
    assert_eq!(rig.get("/annotation/query").await.ok().as_array().unwrap().len(), 1);
}

#[actix_web::test]
async fn lists_show_what_the_caller_may_read() {
    let rig = Rig::new();
    let seen = rig.create(json!({"Message": "seen word", "Owner": "a"})).await;
    rig.create(json!({"Message": "hidden word", "Owner": "b"})).await;
    let one = format!("cloud->annotations->list annotations->{seen}->get");
    for (held, expected) in [
        ("...", json!(["a", "b"])),
        ("annotations->_->get", json!(["a", "b"])),
        ("annotations->...", json!(["a", "b"])),
        (one.as_str(), json!(["a"])),
        ("cloud->annotations->list", json!([])),
        ("annotations->_->edit", json!([])),
    ] {
        let get = |uri: &'static str| rig.request("GET", uri, "").header("test-permissions", held).send();
        for uri in ["/annotation/values/Owner", "/annotation/values/Owner?StartDate=0"] {
            assert_eq!(get(uri).await.ok(), expected, "{held} {uri}");
        }
        let many = expected.as_array().unwrap().len();
        for uri in ["/annotation/query", "/annotation/query?Message=word&order=relevance", "/api/annotations"]
        {
            assert_eq!(get(uri).await.ok().as_array().unwrap().len(), many, "{held} {uri}");
        }
        assert_eq!(get("/annotation/table").await.ok()["Rows"].as_array().unwrap().len(), many);
        assert_eq!(
            get("/annotation/query?total=1").await.header("x-total-count"),
            Some(many.to_string().as_str())
        );
    }
}

/// `PostgreSQL` keeps 255 places of a word.
#[actix_web::test]
async fn a_phrase_is_found_behind_ever_so_many_of_its_words() {
    let rig = Rig::new();
    for message in [
        format!("{}disk full", "disk ok ".repeat(300)),
        format!("{}full", "disk ok ".repeat(300)),
        format!("{}end", "z ".repeat(256)),
        "disk full".to_owned(),
    ] {
        rig.create(json!({"Message": message, "StartDate": 100})).await;
    }
    for (search, count) in [
        ("%22disk+full%22", 2),
        ("%22disk+fu*%22", 2),
        ("%22z+end%22", 1),
        ("%22full+disk%22", 0),
        ("disk+full", 3),
    ] {
        for order in ["oldest", "newest", "relevance"] {
            let uri = format!("/annotation/query?StartDate=0&EndDate=200&Message={search}&order={order}");
            assert_eq!(rig.get(&uri).await.ok().as_array().unwrap().len(), count, "{uri}");
        }
    }
    let without = "/annotation/query?StartDate=0&EndDate=200&Message::Not=%22disk+full%22";
    assert_eq!(rig.get(without).await.ok().as_array().unwrap().len(), 2);
}

#[actix_web::test]
async fn the_widest_window_holds_every_date() {
    let rig = Rig::new();
    for date in ["9999-12-31T23:59:59-05:00", "0000-01-01T00:00:00+05:00"] {
        rig.create(json!({"Owner": "edge", "StartDate": date})).await;
    }
    let widest = "StartDate=-9223372036854775808&EndDate=9223372036854775807";
    let found = rig.get(&format!("/annotation/query?Owner=edge&{widest}")).await.ok();
    assert_eq!(found.as_array().unwrap().len(), 2);
}
