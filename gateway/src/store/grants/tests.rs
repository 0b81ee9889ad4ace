//! Two who give a holder the last thing that it may have.

use super::*;
use crate::model::holder::MOST_URIS;
use crate::model::{Kind, NewHolder};
use crate::store::meeting::{deed, meet, now, user_with};
use crate::store::{MIGRATIONS, add_uri, create_holder, uris_of};
use shared::testing::TestDb;

fn write<T>(test: &TestDb, run: impl FnOnce(&mut DbConn) -> Result<T, DbError>) -> T {
    test.db.write_blocking(run).unwrap()
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
    let role = |n: usize| {
        let wish = NewHolder {
            kind: Kind::Role,
            name: format!("r{n}"),
            secret: None,
            user_id: None,
            project_id: None,
        };
        let role = wish.into_holder(None, now());
        let id = role.id.clone();
        assert!(write(&test, |conn| create_holder(conn, role, &[], deed())));
        id
    };
    for n in 1..MOST_ROLES {
        let role = role(n);
        assert_eq!(write(&test, |conn| join_role(conn, &ada, &role, deed())), Change::Done);
    }
    let (first, second) = (role(MOST_ROLES), role(MOST_ROLES + 1));
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
        assert!(write(&test, |conn| add_uri(conn, &app, &format!("https://a.example/{n}"), deed())));
    }
    let add = |uri| {
        let app = &app;
        move |conn: &mut DbConn| add_uri(conn, app, uri, deed()).unwrap()
    };
    assert_eq!(meet(&test.db, add("https://b.example/"), add("https://c.example/")), (true, false));
    assert_eq!(write(&test, |conn| uris_of(conn, &app)).len(), MOST_URIS);
}
