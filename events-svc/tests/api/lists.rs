//! The lists against a plain model of the contract: every way of reading must give the same pages.

use crate::common::{Fixture, event, text};
use events_svc::model::TraitValue::Integer;
use events_svc::model::{
    Event, EventFilter, FlatFilter, Operator, Order, PIECE_BYTES, TraitFilter, TraitValue, Visibility,
};
use events_svc::store::{StoreError, list_events, list_flat_events};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use shared::db::Direction::{Ascending, Descending};
use shared::db::Piece;
use std::cmp::Ordering;

const EVENTS: usize = 250;
const QUERIES: usize = 400;

/// Events with few instants, types, owners and values, so that ties and empty answers are common.
fn some_events(random: &mut StdRng) -> Vec<Event> {
    let make = |n: usize, random: &mut StdRng| {
        let mut traits: Vec<(&str, TraitValue)> = Vec::new();
        if random.random_bool(0.7) {
            traits.push(("project_id", text(&format!("p{}", random.random_range(0..3)))));
        }
        if random.random_bool(0.8) {
            traits.push(("user_id", text(&format!("u{}", random.random_range(0..2)))));
        }
        if random.random_bool(0.5) {
            traits.push(("size", Integer(random.random_range(-3..4))));
        }
        if random.random_bool(0.5) {
            traits.push(("size", text(&random.random_range(-3..4).to_string())));
        }
        let minute = random.random_range(0..6);
        let id = format!("{:03}-{n}", random.random_range(0..1000));
        let kind = format!("t{}", random.random_range(0..3));
        event(&id, &kind, &format!("2026-01-01T00:0{minute}:00"), &traits)
    };
    (0..EVENTS).map(|n| make(n, random)).collect()
}

fn some_filter(random: &mut StdRng) -> (Visibility, EventFilter) {
    let project = format!("p{}", random.random_range(0..4));
    let visibility = match random.random_range(0..4) {
        0 => Visibility::Project(project),
        1 => Visibility::Member { project, user: format!("u{}", random.random_range(0..2)) },
        _ => Visibility::All,
    };
    let operators = [Operator::Lt, Operator::Le, Operator::Eq, Operator::Ne, Operator::Ge, Operator::Gt];
    let condition = |random: &mut StdRng| {
        let number: i64 = random.random_range(-3..4);
        let value = if random.random_bool(0.5) { Integer(number) } else { text(&number.to_string()) };
        TraitFilter { name: "size".into(), operator: *operators.choose(random).unwrap(), value }
    };
    let conditions = [0, 0, 1, 1, 2, 3].choose(random).copied().unwrap_or(0);
    let direction = |random: &mut StdRng| if random.random_bool(0.5) { Ascending } else { Descending };
    let instant = |random: &mut StdRng| {
        random
            .random_bool(0.3)
            .then(|| format!("2026-01-01T00:0{}:00", random.random_range(0..6)).parse().unwrap())
    };
    let order = match random.random_range(0..4) {
        0 => Order::MessageId(direction(random)),
        _ => Order::Generated(direction(random), direction(random)),
    };
    let filter = EventFilter {
        event_type: random.random_bool(0.3).then(|| format!("t{}", random.random_range(0..3))),
        message_id: None,
        start: instant(random),
        end: instant(random),
        traits: (0..conditions).map(|_| condition(random)).collect(),
        order,
        marker: None,
        after: None,
        limit: some_limit(random),
        bytes: some_bytes(random),
    };
    (visibility, filter)
}

fn some_limit(random: &mut StdRng) -> usize {
    if random.random_bool(0.8) { random.random_range(1..9) } else { EVENTS }
}

/// Room for one event, for some, for all.
fn some_bytes(random: &mut StdRng) -> usize {
    [1, 700, 3000, PIECE_BYTES, PIECE_BYTES].choose(random).copied().unwrap_or(PIECE_BYTES)
}

/// What the contract says, event by event.
fn is_wanted(event: &Event, visibility: &Visibility, filter: &EventFilter) -> bool {
    let own = |name: &str| {
        event.traits.iter().find_map(|property| match &property.value {
            TraitValue::Text(text) if property.name == name => Some(text.as_str()),
            TraitValue::Text(_) | Integer(_) | TraitValue::Float(_) | TraitValue::Datetime(_) => None,
        })
    };
    let has_text = event.traits.iter().any(|property| matches!(property.value, TraitValue::Text(_)));
    let is_visible = match visibility {
        Visibility::All => true,
        Visibility::Project(project) => match own("project_id") {
            Some(own) => own == project,
            None => has_text,
        },
        Visibility::Member { project, user } => {
            own("project_id") == Some(project) && own("user_id") == Some(user)
        }
    };
    let meets = |condition: &TraitFilter| {
        event.traits.iter().any(|property| {
            let order = match (&property.value, &condition.value) {
                (Integer(a), Integer(b)) => a.cmp(b),
                (TraitValue::Text(a), TraitValue::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
                _ => return false,
            };
            property.name == condition.name
                && match condition.operator {
                    Operator::Lt => order == Ordering::Less,
                    Operator::Le => order != Ordering::Greater,
                    Operator::Eq => order == Ordering::Equal,
                    Operator::Ne => order != Ordering::Equal,
                    Operator::Ge => order != Ordering::Less,
                    Operator::Gt => order == Ordering::Greater,
                }
        })
    };
    is_visible
        && filter.event_type.as_ref().is_none_or(|wanted| event.event_type == *wanted)
        && filter.start.is_none_or(|start| event.generated >= start)
        && filter.end.is_none_or(|end| event.generated <= end)
        && filter.traits.iter().all(meets)
}

fn in_order(mut ids: Vec<(chrono::NaiveDateTime, String)>, order: Order) -> Vec<String> {
    let turned = |order: Ordering, direction| if direction == Ascending { order } else { order.reverse() };
    ids.sort_by(|a, b| match order {
        Order::MessageId(direction) => turned(a.1.cmp(&b.1), direction),
        Order::Generated(time, id) => turned(a.0.cmp(&b.0), time).then(turned(a.1.cmp(&b.1), id)),
    });
    ids.into_iter().map(|(_, id)| id).collect()
}

#[actix_web::test]
async fn pages_are_those_of_the_model_for_every_filter_order_and_view() {
    let mut random = StdRng::seed_from_u64(7);
    let events = some_events(&mut random);
    let fixture = Fixture::new();
    fixture.store(&events).await;
    for _ in 0..QUERIES {
        let (visibility, filter) = some_filter(&mut random);
        let wanted = events.iter().filter(|event| is_wanted(event, &visibility, &filter));
        let ids = wanted.map(|event| (event.generated, event.message_id.clone())).collect();
        let expected = in_order(ids, filter.order);
        let shown = format!("{visibility:?} {filter:?}");
        let read = fixture.database.db.read(move |conn| {
            let (mut found, mut page) = (Vec::new(), filter.clone());
            loop {
                let Piece { rows: events, is_cut } = list_events(conn, &visibility, &page)?;
                let texts = events.iter().map(|event| format!("{}null}}", event.head));
                let ids = texts.map(|text| {
                    let event: serde_json::Value = serde_json::from_str(&text).unwrap();
                    event["message_id"].as_str().unwrap().to_owned()
                });
                found.extend(ids);
                if events.len() < page.limit && !is_cut {
                    return Ok::<_, StoreError>(found);
                }
                page.marker = found.last().cloned();
            }
        });
        assert_eq!(read.await.unwrap(), expected, "{shown}");
    }
}

fn some_flat_filter(random: &mut StdRng) -> FlatFilter {
    let instant = |random: &mut StdRng| {
        let minute = random.random_range(0..6);
        random.random_bool(0.3).then(|| format!("2026-01-01T00:0{minute}:00").parse().unwrap())
    };
    let size = |random: &mut StdRng| {
        let number: i64 = random.random_range(-3..4);
        ("size".to_owned(), vec![text(&number.to_string()), Integer(number)])
    };
    FlatFilter {
        event_type: random.random_bool(0.3).then(|| format!("t{}", random.random_range(0..3))),
        after: instant(random),
        until: instant(random),
        traits: (0..random.random_range(0..3)).map(|_| size(random)).collect(),
        mark: None,
        direction: if random.random_bool(0.5) { Ascending } else { Descending },
        limit: some_limit(random),
        bytes: some_bytes(random),
    }
}

#[actix_web::test]
async fn flat_pages_are_those_of_the_model() {
    let mut random = StdRng::seed_from_u64(8);
    let events = some_events(&mut random);
    let fixture = Fixture::new();
    fixture.store(&events).await;
    for _ in 0..QUERIES {
        let filter = some_flat_filter(&mut random);
        let has = |event: &Event, (name, values): &(String, Vec<TraitValue>)| {
            event.traits.iter().any(|own| own.name == *name && values.contains(&own.value))
        };
        let is_wanted = |event: &&Event| {
            filter.event_type.as_ref().is_none_or(|wanted| event.event_type == *wanted)
                && filter.after.is_none_or(|after| event.generated > after)
                && filter.until.is_none_or(|until| event.generated <= until)
                && filter.traits.iter().all(|condition| has(event, condition))
        };
        let mut expected: Vec<&str> =
            events.iter().filter(is_wanted).map(|event| event.message_id.as_str()).collect();
        if filter.direction == Descending {
            expected.reverse();
        }
        let mut page = filter.clone();
        let read = fixture.database.db.read(move |conn| {
            let mut found = Vec::new();
            loop {
                let Piece { rows, is_cut } = list_flat_events(conn, &page)?;
                page.mark = rows.last().map(|event| event.id).or(page.mark);
                let is_end = rows.len() < page.limit && !is_cut;
                found.extend(rows.into_iter().map(|event| {
                    let event: serde_json::Value =
                        serde_json::from_str(&format!("{{{}}}", event.members)).unwrap();
                    event["message_id"].as_str().unwrap().to_owned()
                }));
                if is_end {
                    return Ok::<_, StoreError>(found);
                }
            }
        });
        assert_eq!(read.await.unwrap(), expected, "{filter:?}");
    }
}
