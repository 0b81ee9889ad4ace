//! Two who give a holder the last thing that it may have.

use super::*;
use crate::model::holder::MOST_URIS;
use crate::model::{Kind, NewHolder};
use crate::store::meeting::{deed, meet, now, user_with};
use crate::store::{MIGRATIONS, add_uri, create_holder, delete_holder, uris_of};
use shared::testing::TestDb;

fn write<T>(test: &TestDb, run: impl FnOnce(&mut DbConn) -> Result<T, DbError>) -> T {
    test.db.write_blocking(run).unwrap()
}

/// The id of a new role.
fn role(test: &TestDb, n: usize) -> String {
    let name = format!("r{n}");
    let wish = NewHolder { kind: Kind::Role, name, secret: None, user_id: None, project_id: None };
    let role = wish.into_holder(None, now());
    let id = role.id.clone();
    assert!(write(test, |conn| create_holder(conn, role, &[], deed())));
    id
}

#[test]
fn two_grants_at_once_do_not_pass_the_bound() {
    let test = TestDb::new(MIGRATIONS);
    let ada = user_with(&test, "hash");
    let rows = (1..MOST_GRANTS).map(|n| (grants::holder.eq(&ada), grants::pattern.eq(format!("a->{n:04}"))));
    let rows: Vec<_> = rows.collect();
    write(&test, |conn| {
        Ok(on_backend!(conn, c => diesel::insert_into(grants::table).values(&rows).execute(c))?)
    });
    let give = |pattern| {
        let ada = &ada;
        move |conn: &mut DbConn| grant(conn, ada, pattern, deed()).unwrap()
    };
    assert_eq!(meet(&test.db, give("b"), give("c")), (Change::Done, Change::Full));
    assert_eq!(write(&test, |conn| grants_of(conn, &ada)).len(), MOST_GRANTS);
}

#[test]
fn two_roles_at_once_do_not_pass_the_bound() {
    let test = TestDb::new(MIGRATIONS);
    let ada = user_with(&test, "hash");
    for n in 1..MOST_ROLES {
        let role = role(&test, n);
        assert_eq!(write(&test, |conn| join_role(conn, &ada, &role, deed())), Change::Done);
    }
    let (first, second) = (role(&test, MOST_ROLES), role(&test, MOST_ROLES + 1));
    let join = |role| {
        let ada = &ada;
        move |conn: &mut DbConn| join_role(conn, ada, role, deed()).unwrap()
    };
    assert_eq!(meet(&test.db, join(&first), join(&second)), (Change::Done, Change::Full));
    assert_eq!(write(&test, |conn| roles_of(conn, &ada)).len(), MOST_ROLES);
}

#[test]
fn two_redirect_uris_at_once_do_not_pass_the_bound() {
    let test = TestDb::new(MIGRATIONS);
    let app = user_with(&test, "hash");
    for n in 1..MOST_URIS {
        let uri = format!("https://a.example/{n}");
        assert_eq!(write(&test, |conn| add_uri(conn, &app, &uri, deed())), Change::Done);
    }
    let add = |uri| {
        let app = &app;
        move |conn: &mut DbConn| add_uri(conn, app, uri, deed()).unwrap()
    };
    assert_eq!(
        meet(&test.db, add("https://b.example/"), add("https://c.example/")),
        (Change::Done, Change::Full)
    );
    assert_eq!(write(&test, |conn| uris_of(conn, &app)).len(), MOST_URIS);
}

/// Who looked the holder up before it was removed is told so, and nothing is left of the wish.
#[test]
fn nothing_is_given_to_a_holder_that_is_being_removed() {
    let wishes: [fn(&mut DbConn, &str, &str) -> Change; 4] = [
        |conn, id, _| grant(conn, id, "a->b", deed()).unwrap(),
        |conn, id, other| join_role(conn, id, other, deed()).unwrap(),
        |conn, id, other| join_role(conn, other, id, deed()).unwrap(),
        |conn, id, _| add_uri(conn, id, "https://a.example/", deed()).unwrap(),
    ];
    for wish in wishes {
        let test = TestDb::new(MIGRATIONS);
        let (ada, other) = (user_with(&test, "hash"), role(&test, 1));
        let remove = |conn: &mut DbConn| delete_holder(conn, &ada, deed()).unwrap();
        let (is_removed, change) = meet(&test.db, remove, |conn| wish(conn, &ada, &other));
        assert_eq!((is_removed, change), (true, Change::Gone));
    }
}
