//! `/internal/dead-letters`: messages that could not be used.

use crate::common::{Answer, Fixture, noon};
use actix_web::http::StatusCode;
use actix_web::test::TestRequest;
use diesel::connection::SimpleConnection;
use events_svc::State;
use events_svc::config::Config;
use events_svc::distill::{Dialect, Distiller};
use events_svc::store::{DeadLetter, MIGRATIONS, Room, count_events, put_dead_letters};
use serde_json::{Value, json};
use shared::clock::ManualClock;
use shared::db::{Db, DbConn};

const LETTERS: &str = "/internal/dead-letters";

/// Definitions in which `size` has this type: with `int` a size of words is an error of the whole notification.
pub(crate) fn size_is(kind: &str) -> Distiller {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("event_definitions.yaml");
    let yaml = format!("- event_type: vol.*\n  traits:\n    size: {{fields: payload.size, type: {kind}}}\n");
    std::fs::write(&path, yaml).unwrap();
    Distiller::load(&path, Dialect::Ceilometer, false).unwrap()
}

pub(crate) fn volume(id: &str, size: &Value) -> Value {
    json!({"message_id": id, "event_type": "vol.create", "publisher_id": "vol.h1",
        "timestamp": "2026-01-01 10:00:00", "payload": {"size": size}})
}

impl Fixture {
    /// Makes the letters come from this service again, with other definitions.
    pub(crate) fn redefine(&mut self, distiller: Distiller) {
        let db = self.database.db.clone();
        self.state = State::new(Config::default(), db, distiller, ManualClock::at(noon())).unwrap();
    }

    async fn post_notifications(&self, list: &Value) -> Answer {
        self.send(TestRequest::post().uri("/v1/notifications").set_payload(list.to_string())).await
    }

    async fn post_to(&self, uri: &str) -> Answer {
        self.send(TestRequest::post().uri(uri)).await
    }

    async fn delete_at(&self, uri: &str) -> Answer {
        self.send(TestRequest::delete().uri(uri)).await
    }

    pub(crate) async fn letters(&self) -> Vec<Value> {
        self.get(&format!("{LETTERS}?limit=1000")).await.json()["dead_letters"].as_array().unwrap().clone()
    }

    pub(crate) async fn events(&self) -> i64 {
        let count = |conn: &mut DbConn| count_events(conn, None);
        self.database.db.read(count).await.unwrap()
    }

    /// Keeps letters past the routes.
    async fn keep(&self, bodies: &[&[u8]]) {
        let letter = |body: &&[u8]| DeadLetter {
            id: 0,
            source: "cell 1".into(),
            reason: "bad".into(),
            body: body.to_vec(),
            received: 1_500_000,
        };
        let letters: Vec<DeadLetter> = bodies.iter().map(letter).collect();
        let unkept = self
            .database
            .db
            .write(move |conn| put_dead_letters(conn, &letters, Room { letters: 1_000_000, bytes: i64::MAX }))
            .await;
        assert_eq!(unkept.unwrap(), []);
    }

    pub(crate) async fn execute(&self, sql: String) {
        let execute = move |conn: &mut DbConn| conn.batch_execute(&sql).map_err(shared::db::DbError::from);
        self.database.db.write(execute).await.unwrap();
    }

    /// Makes the database refuse the event with the message id `bad`.
    pub(crate) async fn refuse_bad(&self) {
        let is_postgres = std::env::var(shared::testing::POSTGRES_URL).is_ok();
        self.execute(if is_postgres {
            "ALTER TABLE events ADD CHECK (message_id <> 'bad')".to_owned()
        } else {
            "CREATE TRIGGER refuse BEFORE INSERT ON events WHEN NEW.message_id = 'bad' \
             BEGIN SELECT RAISE(ABORT, 'refused'); END"
                .to_owned()
        })
        .await;
    }
}

#[actix_web::test]
async fn a_letter_has_its_message_reason_source_and_time() {
    let fixture = Fixture::new();
    fixture.post_notifications(&json!([{"event_type": "x"}])).await;
    let [letter] = &fixture.letters().await[..] else { panic!("one letter") };
    let body = r#"{"event_type":"x"}"#;
    assert_eq!(letter["body"], json!({"text": body}));
    assert_eq!((&letter["source"], &letter["size"]), (&json!("http"), &json!(body.len())));
    assert_eq!(
        (&letter["reason"], &letter["received"]),
        (&json!("message_id is missing"), &json!("2026-01-01T12:00:00"))
    );
    assert_eq!(fixture.get(&format!("{LETTERS}/{}", letter["id"])).await.json(), *letter);
}

#[actix_web::test]
async fn lists_are_cut_into_pages_and_show_the_heads_of_messages() {
    let fixture = Fixture::new();
    // The 1024th byte is the first of a character of two.
    let long = format!("{}é{}", "x".repeat(1023), "y".repeat(5000));
    for body in ["a".as_bytes(), b"\xff\x00", long.as_bytes()] {
        fixture.keep(&[body]).await;
    }
    let page = fixture.get(&format!("{LETTERS}?limit=2")).await.json();
    assert_eq!((&page["total"], page["dead_letters"].as_array().unwrap().len()), (&json!(3), 2));
    assert_eq!(page["dead_letters"][1]["body"], json!({"base64": "/wA="}));
    assert_eq!(page["dead_letters"][0]["received"], "1970-01-01T00:00:01.500000");
    let after = &page["dead_letters"][1]["id"];
    let rest = fixture.get(&format!("{LETTERS}?after={after}")).await.json();
    let [letter] = &rest["dead_letters"].as_array().unwrap()[..] else { panic!("one letter") };
    assert_eq!(letter["size"], json!(1023 + 2 + 5000));
    assert_eq!(letter["body"], json!({"text": "x".repeat(1023), "is_cut": true}));
    let whole = fixture.get(&format!("{LETTERS}/{}", letter["id"])).await.json();
    assert_eq!(whole["body"], json!({"text": long}));
}

#[actix_web::test]
async fn the_same_bad_message_is_one_letter() {
    let fixture = Fixture::new();
    for _ in 0..2 {
        assert_eq!(fixture.post_notifications(&json!([7, 7, 8])).await.json()["invalid"], 3);
    }
    assert_eq!(fixture.letters().await.len(), 2);
    fixture.keep(&[b"7"]).await;
    assert_eq!(fixture.letters().await.len(), 3, "another source, another letter");
}

#[actix_web::test]
async fn beyond_the_bound_the_caller_is_told_and_nothing_is_kept() {
    let config = Config { max_dead_letters: 4, ..Config::default() };
    let fixture = Fixture::with(config, Distiller::builtin().unwrap());
    for _ in 0..2 {
        let answer = fixture.post_notifications(&json!([1, 2, 3])).await;
        assert_eq!((answer.status, &answer.json()["invalid"]), (StatusCode::ACCEPTED, &json!(3)));
        assert_eq!(fixture.letters().await.len(), 2, "the other half is not for what is posted");
    }
}

#[actix_web::test]
async fn letters_are_bounded_in_bytes_too() {
    let config = Config { max_dead_letter_bytes: 1 << 20, ..Config::default() };
    let fixture = Fixture::with(config, Distiller::builtin().unwrap());
    let large = |mark: &str| json!(format!("{mark}{}", "x".repeat(300 << 10)));
    for mark in ["a", "b"] {
        let answer = fixture.post_notifications(&json!([large(mark), 1])).await;
        assert_eq!((answer.status, &answer.json()["invalid"]), (StatusCode::ACCEPTED, &json!(2)));
    }
    assert_eq!(fixture.letters().await.len(), 2, "of half a megabyte the first has taken 300 KiB");
}

#[actix_web::test]
async fn replay_after_mending_the_definitions_stores_the_event_and_takes_the_letter_away() {
    let mut fixture = Fixture::with(Config::default(), size_is("int"));
    fixture.post_notifications(&json!([volume("m1", &json!("large"))])).await;
    let id = fixture.letters().await[0]["id"].clone();
    let again = fixture.post_to(&format!("{LETTERS}/{id}/replay")).await.json();
    assert_eq!((&again["invalid"], &again["saved"]), (&json!(1), &json!(0)));
    assert!(again["reason"].as_str().unwrap().contains("size"), "{again}");
    assert_eq!((fixture.letters().await.len(), fixture.events().await), (1, 0), "it stays");
    fixture.redefine(size_is("text"));
    let replayed = fixture.post_to(&format!("{LETTERS}/{id}/replay")).await;
    let expected = json!({"replayed": 1, "saved": 1, "duplicate": 0, "dropped": 0, "invalid": 0});
    assert_eq!((replayed.status, replayed.json()), (StatusCode::OK, expected));
    assert_eq!(fixture.get("/v1/events/m1").await.json()[0]["size"], "large");
    assert_eq!(fixture.letters().await, Vec::<Value>::new());
    assert_eq!(fixture.post_to(&format!("{LETTERS}/{id}/replay")).await.status, StatusCode::NOT_FOUND);
}

#[actix_web::test]
async fn replay_of_all_goes_on_where_it_was_bounded() {
    let mut fixture = Fixture::with(Config::default(), size_is("int"));
    let mut list: Vec<Value> = (0..250).map(|n| volume(&format!("m{n}"), &json!("large"))).collect();
    list[7]["event_type"] = Value::Null;
    assert_eq!(fixture.post_notifications(&list.into()).await.json()["invalid"], 250);
    fixture.keep(&[br#"{"message_id": "d", "event_type": "other"}"#]).await;
    fixture.redefine(size_is("text"));
    let first = fixture.post_to(&format!("{LETTERS}/replay?limit=120")).await.json();
    assert_eq!(first["replayed"], 120);
    assert!(first["next"].is_i64(), "{first}");
    let rest = fixture.post_to(&format!("{LETTERS}/replay?after={}", first["next"])).await.json();
    assert_eq!((&rest["replayed"], &rest["next"]), (&json!(131), &Value::Null));
    let sum = |key: &str| first[key].as_i64().unwrap() + rest[key].as_i64().unwrap();
    assert_eq!((sum("saved"), sum("dropped"), sum("invalid"), sum("duplicate")), (249, 1, 1, 0));
    assert_eq!(fixture.events().await, 249);
    let [letter] = &fixture.letters().await[..] else { panic!("one letter is left") };
    assert!(letter["body"]["text"].as_str().unwrap().contains("\"m7\""), "{letter}");
    let again = fixture.post_to(&format!("{LETTERS}/replay")).await.json();
    assert_eq!((&again["replayed"], &again["invalid"], &again["next"]), (&json!(1), &json!(1), &Value::Null));
}

#[actix_web::test]
async fn replay_of_a_stored_message_is_a_duplicate_and_takes_the_letter_away() {
    let fixture = Fixture::with(Config::default(), size_is("int"));
    fixture.post_notifications(&json!([volume("m1", &json!(1))])).await;
    fixture.keep(&[volume("m1", &json!(2)).to_string().as_bytes()]).await;
    assert_eq!(fixture.post_to(&format!("{LETTERS}/replay")).await.json()["duplicate"], 1);
    assert_eq!((fixture.letters().await.len(), fixture.events().await), (0, 1));
    assert_eq!(fixture.get("/v1/events/m1").await.json()[0]["size"], 1, "the first stays");
}

#[actix_web::test]
async fn letters_are_dropped_one_by_one_and_all_together() {
    let fixture = Fixture::new();
    let bodies: Vec<String> = (0..1500).map(|n| n.to_string()).collect();
    fixture.keep(&bodies.iter().map(String::as_bytes).collect::<Vec<_>>()).await;
    let uri = format!("{LETTERS}/{}", fixture.letters().await[3]["id"]);
    assert_eq!(fixture.delete_at(&uri).await.status, StatusCode::NO_CONTENT);
    assert_eq!(fixture.delete_at(&uri).await.status, StatusCode::NOT_FOUND);
    assert_eq!(fixture.delete_at(LETTERS).await.json(), json!({"deleted": 1499}));
    assert_eq!(fixture.get(LETTERS).await.json(), json!({"total": 0, "dead_letters": []}));
    assert_eq!(fixture.delete_at(LETTERS).await.json(), json!({"deleted": 0}));
}

#[actix_web::test]
async fn wrong_ids_and_arguments_are_refused_in_the_shape_of_the_area() {
    let fixture = Fixture::new();
    for uri in [
        "/internal/dead-letters/1",
        "/internal/dead-letters/x",
        "/internal/dead-letters/99999999999999999999",
    ] {
        let answer = fixture.get(uri).await;
        assert_eq!(
            (answer.status, &answer.json()["title"]),
            (StatusCode::NOT_FOUND, &json!("Not Found")),
            "{uri}"
        );
        assert_eq!(fixture.post_to(&format!("{uri}/replay")).await.status, StatusCode::NOT_FOUND);
    }
    for uri in ["/internal/dead-letters?after=x", "/internal/dead-letters?limit=1.5"] {
        let answer = fixture.get(uri).await;
        assert_eq!(
            (answer.status, &answer.json()["title"]),
            (StatusCode::BAD_REQUEST, &json!("Bad Request")),
            "{uri}"
        );
    }
    for uri in ["/internal/dead-letters?limit=-5", "/internal/dead-letters?limit=99999999999&after=-1"] {
        assert_eq!(fixture.get(uri).await.status, StatusCode::OK, "{uri}");
    }
}

#[actix_web::test]
async fn an_event_that_the_database_refuses_becomes_a_letter_and_holds_up_nobody() {
    let fixture = Fixture::with(Config::default(), size_is("int"));
    fixture.refuse_bad().await;
    let list = json!([volume("m1", &json!(1)), volume("bad", &json!(2)), 7, volume("m2", &json!(3))]);
    let answer = fixture.post_notifications(&list).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.body);
    let counts = answer.json();
    assert_eq!(
        (&counts["received"], &counts["saved"], &counts["invalid"]),
        (&json!(4), &json!(2), &json!(2))
    );
    assert_eq!(fixture.events().await, 2);
    let letters = fixture.letters().await;
    assert_eq!(letters.len(), 2);
    let reasons: Vec<&str> = letters.iter().filter_map(|letter| letter["reason"].as_str()).collect();
    assert!(reasons.iter().any(|reason| reason.starts_with("could not be stored: ")), "{reasons:?}");
    let replayed = fixture.post_to(&format!("{LETTERS}/replay")).await.json();
    assert_eq!((&replayed["replayed"], &replayed["invalid"]), (&json!(2), &json!(2)));
    assert_eq!(fixture.letters().await, letters, "they stay as they were");
}

#[actix_web::test]
async fn a_notification_is_not_accepted_while_its_letter_cannot_be_kept() {
    let fixture = Fixture::new();
    fixture.execute("ALTER TABLE dead_letters RENAME TO away".into()).await;
    let answer = fixture.post_notifications(&json!([7])).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.headers.get("Retry-After").unwrap(), "1");
    fixture.execute("ALTER TABLE away RENAME TO dead_letters".into()).await;
    assert_eq!(fixture.post_notifications(&json!([7])).await.status, StatusCode::ACCEPTED);
    assert_eq!(fixture.letters().await.len(), 1);
}

#[actix_web::test]
async fn sources_and_reasons_of_any_kind_can_be_kept() {
    let fixture = Fixture::new();
    let letter = DeadLetter {
        id: 0,
        source: "a\0b".into(),
        reason: format!("\0{}", "é".repeat(5000)),
        body: Vec::new(),
        received: 0,
    };
    let put =
        move |conn: &mut DbConn| put_dead_letters(conn, &[letter], Room { letters: 10, bytes: i64::MAX });
    assert_eq!(fixture.database.db.write(put).await.unwrap(), []);
    let [letter] = &fixture.letters().await[..] else { panic!("one letter") };
    assert_eq!((&letter["source"], &letter["body"]), (&json!("a\u{fffd}b"), &json!({"text": ""})));
    assert_eq!(letter["reason"].as_str().unwrap().chars().count(), 1000);
    assert_eq!(fixture.get(&format!("{LETTERS}/{}", letter["id"])).await.json(), *letter);
    assert_eq!(fixture.post_to(&format!("{LETTERS}/replay")).await.json()["invalid"], 1);
}

/// Two services on one file: whoever comes second waits, and is not told that the database is locked.
#[actix_web::test]
async fn letters_of_two_processes_wait_for_each_other() {
    let fixture = Fixture::new();
    let target = fixture.database.db.target().clone();
    let other = Db::open(target, 2, MIGRATIONS).unwrap();
    let put_many = async |db: &Db, source: &'static str| {
        for n in 0..50_u8 {
            let letter =
                DeadLetter { id: 0, source: source.into(), reason: "r".into(), body: vec![n], received: 1 };
            let room = Room { letters: 1000, bytes: 1 << 20 };
            db.write(move |conn| put_dead_letters(conn, &[letter], room)).await.unwrap();
        }
    };
    futures_util::join!(put_many(&fixture.database.db, "a"), put_many(&other, "b"));
    assert_eq!(fixture.letters().await.len(), 100);
}
