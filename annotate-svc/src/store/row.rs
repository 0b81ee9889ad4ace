//! Rows of `annotations`, as they are read and written.

use super::DbError;
use crate::model::{Annotation, Field, Stamp, Stored, Texts};
use diesel::sql_types::{BigInt, Binary, Text};
use diesel::{Queryable, QueryableByName, RunQueryDsl};
use shared::db::{DbConn, Sql};
use shared::on_backend;
use uuid::Uuid;

/// The columns of an annotation that is shown.
pub(super) const COLUMNS: &str = "seq, id, start_us, end_us, start_off, end_off, message, creation_user, url, \
     source, host, owner, category, tags, version";

/// The column of a field. Names from a request never become SQL.
pub(super) fn column(field: Field) -> &'static str {
    match field {
        Field::Message => "message",
        Field::CreationUser => "creation_user",
        Field::Url => "url",
        Field::Source => "source",
        Field::Host => "host",
        Field::Owner => "owner",
        Field::Category => "category",
    }
}

/// The types of [`COLUMNS`].
type Types =
    (BigInt, Binary, BigInt, BigInt, BigInt, BigInt, Text, Text, Text, Text, Text, Text, Text, Text, BigInt);

/// Lists are read by place: by name, a list takes a third longer.
#[derive(Queryable, QueryableByName)]
pub(super) struct Row {
    #[diesel(sql_type = BigInt)]
    seq: i64,
    #[diesel(sql_type = Binary)]
    id: Vec<u8>,
    #[diesel(sql_type = BigInt)]
    start_us: i64,
    #[diesel(sql_type = BigInt)]
    end_us: i64,
    #[diesel(sql_type = BigInt)]
    start_off: i64,
    #[diesel(sql_type = BigInt)]
    end_off: i64,
    #[diesel(sql_type = Text)]
    message: String,
    #[diesel(sql_type = Text)]
    creation_user: String,
    #[diesel(sql_type = Text)]
    url: String,
    #[diesel(sql_type = Text)]
    source: String,
    #[diesel(sql_type = Text)]
    host: String,
    #[diesel(sql_type = Text)]
    owner: String,
    #[diesel(sql_type = Text)]
    category: String,
    #[diesel(sql_type = Text)]
    tags: String,
    #[diesel(sql_type = BigInt)]
    version: i64,
}

impl From<Row> for Stored {
    fn from(row: Row) -> Self {
        let stamp = |micros, offset| Stamp { micros, offset_secs: i32::try_from(offset).unwrap_or(0) };
        let mut texts = Texts::default();
        texts.set(Field::Message, row.message);
        texts.set(Field::CreationUser, row.creation_user);
        texts.set(Field::Url, row.url);
        texts.set(Field::Source, row.source);
        texts.set(Field::Host, row.host);
        texts.set(Field::Owner, row.owner);
        texts.set(Field::Category, row.category);
        let annotation = Annotation {
            id: Uuid::from_slice(&row.id).unwrap_or_default(),
            texts,
            start: stamp(row.start_us, row.start_off),
            end: stamp(row.end_us, row.end_off),
            tags: if row.tags.is_empty() {
                Vec::new()
            } else {
                serde_json::from_str(&row.tags).unwrap_or_default()
            },
        };
        Self { annotation, seq: row.seq, version: row.version }
    }
}

/// Tags as they are stored.
pub(super) fn tags_text(tags: &[String]) -> String {
    if tags.is_empty() { String::new() } else { serde_json::to_string(tags).unwrap_or_default() }
}

/// Runs a statement that reads [`COLUMNS`].
pub(super) fn load_stored(conn: &mut DbConn, sql: Sql) -> Result<Vec<Stored>, DbError> {
    let sql = sql.typed::<Types>();
    let rows: Vec<Row> = on_backend!(conn, c => sql.load(c))?;
    Ok(rows.into_iter().map(Stored::from).collect())
}
