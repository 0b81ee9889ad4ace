//! What meets in the store at the same moment.

use super::*;
use crate::model::{NewHolder, token_hash};
use crate::store::meeting::{deed, meet, now, user_with};
use crate::store::{MIGRATIONS, create_holder, delete_holder, put_secret};
use shared::db::Target;
use shared::testing::TestDb;

const OLD: &str = "hash of the old password";
const NEW: &str = "hash of the new password";

/// A login by this password: whether it counted, and the hash of its token.
fn log_in(conn: &mut DbConn, user: &str, kind: TokenKind, secret: &str) -> (bool, String) {
    let proof = Proof::Holder { id: user.to_owned(), secret_hash: Some(secret.to_owned()) };
    let (made, text) = OAuthToken::make(kind, Issue::new(user.to_owned(), None, None), now());
    (issue(conn, &proof, made, deed()).unwrap(), token_hash(&text))
}

fn is_alive(test: &TestDb, hash: &str) -> bool {
    test.db.write_blocking(|conn| find_access(conn, hash, now())).unwrap().is_some()
}

#[test]
fn a_password_that_is_changed_during_a_login_is_wrong() {
    for kind in [TokenKind::Access, TokenKind::Code] {
        let test = TestDb::new(MIGRATIONS);
        let ada = user_with(&test, OLD);
        let change = |conn: &mut DbConn| put_secret(conn, &ada, NEW, deed()).unwrap();
        let (is_set, (is_in, hash)) = meet(&test.db, change, |conn| log_in(conn, &ada, kind, OLD));
        assert_eq!((is_set, is_in, is_alive(&test, &hash)), (true, false, false), "{kind:?}");
        let by_new = test.db.write_blocking::<_, DbError>(|conn| Ok(log_in(conn, &ada, kind, NEW))).unwrap();
        assert!(by_new.0, "the new one is good");
    }
}

#[test]
fn a_login_that_is_complete_first_ends_with_its_password() {
    let test = TestDb::new(MIGRATIONS);
    let ada = user_with(&test, OLD);
    let first = |conn: &mut DbConn| log_in(conn, &ada, TokenKind::Access, OLD);
    let ((is_in, hash), is_set) = meet(&test.db, first, |conn| put_secret(conn, &ada, NEW, deed()).unwrap());
    assert_eq!((is_in, is_set, is_alive(&test, &hash)), (true, true, false));
}

#[test]
fn nobody_logs_in_who_is_removed_meanwhile() {
    let test = TestDb::new(MIGRATIONS);
    let ada = user_with(&test, OLD);
    let remove = |conn: &mut DbConn| delete_holder(conn, &ada, deed()).unwrap();
    let (is_gone, (is_in, _)) = meet(&test.db, remove, |conn| log_in(conn, &ada, TokenKind::Access, OLD));
    assert_eq!((is_gone, is_in), (true, false), "and no fault of ours");
}

#[test]
fn a_one_time_token_takes_a_password_that_counts() {
    let test = TestDb::new(MIGRATIONS);
    let ada = user_with(&test, OLD);
    let once = |conn: &mut DbConn, secret: &str| {
        let proof = Proof::Holder { id: ada.clone(), secret_hash: Some(secret.to_owned()) };
        let (made, _) = OAuthToken::make(TokenKind::Once, Issue::new(ada.clone(), None, None), now());
        issue_once(conn, &proof, made).unwrap()
    };
    let change = |conn: &mut DbConn| put_secret(conn, &ada, NEW, deed()).unwrap();
    assert_eq!(meet(&test.db, change, |conn| once(conn, OLD)), (true, false));
    assert!(test.db.write_blocking::<_, DbError>(|conn| Ok(once(conn, NEW))).unwrap());
}

#[test]
fn a_code_takes_a_login_that_has_not_ended() {
    let test = TestDb::new(MIGRATIONS);
    let ada = user_with(&test, OLD);
    let log_in = |conn: &mut DbConn| Ok(log_in(conn, &ada, TokenKind::Access, OLD));
    let (_, hash) = test.db.write_blocking::<_, DbError>(log_in).unwrap();
    let code = |conn: &mut DbConn| {
        let (made, _) = OAuthToken::make(TokenKind::Code, Issue::new(ada.clone(), None, None), now());
        issue(conn, &Proof::Access(hash.clone()), made, deed()).unwrap()
    };
    assert!(test.db.write_blocking::<_, DbError>(|conn| Ok(code(conn))).unwrap());
    let end = |conn: &mut DbConn| revoke_all(conn, &ada, deed()).unwrap();
    assert_eq!(meet(&test.db, end, code), ((), false));
}

#[test]
fn a_login_waits_for_no_old_token_that_somebody_else_is_about_to_remove() {
    let test = TestDb::new(MIGRATIONS);
    let ada = user_with(&test, OLD);
    let (old, _) =
        OAuthToken::make(TokenKind::Access, Issue::new(ada.clone(), None, None), now() - Duration::days(9));
    let hash = old.hash.clone();
    test.db.write_blocking(|conn| insert(conn, vec![old])).unwrap();
    let hold = |conn: &mut DbConn| match conn {
        DbConn::Postgres(conn) => tokens::table.select(tokens::hash).for_update().load(conn).unwrap(),
        DbConn::Sqlite(_) => vec![hash.clone()],
    };
    let (held, (is_in, new)) = meet(&test.db, hold, |conn| log_in(conn, &ada, TokenKind::Access, OLD));
    assert_eq!((held, is_in), (vec![hash.clone()], true));
    let left: Vec<String> = test
        .db
        .write_blocking::<_, DbError>(|conn| Ok(tokens::table.select(tokens::hash).load(conn)?))
        .unwrap();
    let is_held = matches!(test.db.target(), Target::Postgres { .. });
    assert_eq!((left.contains(&hash), left.contains(&new)), (is_held, true), "removed unless it was held");
}

/// A refresh token of the user, and its hash.
fn refresh_token(test: &TestDb, user: &str) -> String {
    let run = |conn: &mut DbConn| Ok(log_in(conn, user, TokenKind::Refresh, OLD));
    let (is_in, hash) = test.db.write_blocking::<_, DbError>(run).unwrap();
    assert!(is_in);
    hash
}

/// Gives the refresh token in return for an access token, whose hash it answers with.
fn refresh(conn: &mut DbConn, hash: &str) -> (Exchange, String) {
    let mut made = String::new();
    let exchanged = exchange(conn, (TokenKind::Refresh, hash), None, deed(), |token| {
        let (access, text) = OAuthToken::make(TokenKind::Access, token.issue.clone(), now());
        made = token_hash(&text);
        Ok(vec![access])
    });
    (exchanged.unwrap(), made)
}

/// The ways to end a login, by its refresh token's hash and its owner.
type End = fn(&mut DbConn, &str, &str);

const ENDS: [(&str, End); 4] = [
    ("revoked", |conn, hash, _| revoke_token(conn, hash, None, deed()).unwrap()),
    ("all revoked", |conn, _, user| revoke_all(conn, user, deed()).unwrap()),
    ("password", |conn, _, user| assert!(put_secret(conn, user, NEW, deed()).unwrap())),
    ("removed", |conn, _, user| assert!(delete_holder(conn, user, deed()).unwrap())),
];

#[test]
fn a_login_that_ends_during_a_refresh_ends_what_comes_of_it_too() {
    for (way, end) in ENDS {
        let test = TestDb::new(MIGRATIONS);
        let ada = user_with(&test, OLD);
        let hash = refresh_token(&test, &ada);
        let ((exchanged, made), ()) =
            meet(&test.db, |conn| refresh(conn, &hash), |conn| end(conn, &hash, &ada));
        assert_eq!((exchanged, is_alive(&test, &made)), (Exchange::Done, false), "{way}");
    }
}

#[test]
fn a_login_that_has_ended_is_not_refreshed() {
    for (way, end) in ENDS {
        let test = TestDb::new(MIGRATIONS);
        let ada = user_with(&test, OLD);
        let hash = refresh_token(&test, &ada);
        let ((), (exchanged, made)) =
            meet(&test.db, |conn| end(conn, &hash, &ada), |conn| refresh(conn, &hash));
        assert_eq!((exchanged, is_alive(&test, &made)), (Exchange::Refused, false), "{way}");
    }
}

#[test]
fn a_client_that_is_removed_during_a_refresh_is_no_thief() {
    let test = TestDb::new(MIGRATIONS);
    let ada = user_with(&test, OLD);
    let wish =
        NewHolder { kind: Kind::Client, name: "app".into(), secret: None, user_id: None, project_id: None };
    let app = wish.into_holder(None, now());
    let id = app.id.clone();
    let issue = Issue::new(ada.clone(), Some(id.clone()), None);
    let (made, text) = OAuthToken::make(TokenKind::Refresh, issue, now());
    let proof = Proof::Holder { id: ada, secret_hash: Some(OLD.into()) };
    let prepare = |conn: &mut DbConn| {
        assert!(create_holder(conn, app, &[], deed())?);
        super::issue(conn, &proof, made, deed())
    };
    assert!(test.db.write_blocking(prepare).unwrap());
    let refresh = |conn: &mut DbConn| {
        let hash = token_hash(&text);
        exchange(conn, (TokenKind::Refresh, &hash), Some(&id), deed(), |_| Ok(Vec::new())).unwrap()
    };
    let remove = |conn: &mut DbConn| delete_holder(conn, &id, deed()).unwrap();
    assert_eq!(meet(&test.db, remove, refresh), (true, Exchange::Refused));
}

#[test]
fn a_refresh_token_that_comes_twice_at_once_ends_its_family() {
    let test = TestDb::new(MIGRATIONS);
    let ada = user_with(&test, OLD);
    let hash = refresh_token(&test, &ada);
    let (first, second) = meet(&test.db, |conn| refresh(conn, &hash), |conn| refresh(conn, &hash));
    assert_eq!((first.0, second.0), (Exchange::Done, Exchange::Reused));
    assert!(!is_alive(&test, &first.1) && !is_alive(&test, &second.1));
}
