//! `docs/permissions.md` and the route table say the same.

use super::table::{AREAS, PAGES};
use super::{Access, Action};
use hyper::Method;
use std::collections::BTreeSet;

const DOCUMENT: &str = include_str!("../../../docs/permissions.md");

/// What a row of the document says about one method of one path.
type Row = (String, String, String);

fn documented() -> BTreeSet<Row> {
    let rows = DOCUMENT.lines().filter(|line| line.starts_with("| ") && line.contains("| `/"));
    rows.map(|line| {
        let cells: Vec<&str> = line.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        (cells[1].to_owned(), cells[2].to_owned(), cells[3].to_owned())
    })
    .collect()
}

fn row(path: &str, action: &Action) -> Row {
    let permission = match action.access {
        Access::Public => "none",
        Access::Login => "any login",
        Access::Admin => "role `admin",
        Access::Permission => action.permission,
    };
    (action.method.to_string(), path.to_owned(), permission.to_owned())
}

#[test]
fn the_document_names_every_route_with_its_permission_and_no_other() {
    let mut all = Vec::new();
    for area in AREAS {
        for (row, actions) in area.rows {
            all.push((format!("{}{row}", area.prefixes[0]), *actions));
        }
    }
    all.extend(PAGES.iter().map(|(path, _, actions)| ((*path).to_owned(), *actions)));
    let shown = |action: &&Action| !matches!(action.method, Method::HEAD | Method::OPTIONS);
    let table: BTreeSet<Row> = all
        .iter()
        .flat_map(|(path, actions)| actions.iter().filter(shown).map(|action| row(path, action)))
        .collect();
    let documented = documented();
    let odd: Vec<&Row> = documented.symmetric_difference(&table).collect();
    assert!(odd.is_empty() && documented.len() > 100, "only one of them has {odd:#?}");
}

#[test]
fn head_takes_what_get_takes_and_options_is_for_everybody() {
    let rows = AREAS.iter().flat_map(|area| area.rows.iter().map(|(_, actions)| *actions));
    for actions in rows.chain(PAGES.iter().map(|(_, _, actions)| *actions)) {
        let get = actions.iter().find(|action| action.method == Method::GET);
        for action in actions {
            match (&action.method, get) {
                (&Method::HEAD, Some(get)) => {
                    assert_eq!((action.permission, action.access), (get.permission, get.access));
                }
                (&Method::OPTIONS, _) => assert_eq!(action.access, Access::Public),
                _ => {}
            }
        }
    }
}
