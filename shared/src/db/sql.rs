//! SQL text put together at run time, for the few queries whose shape depends on the request.
//!
//! Values never go into the text: [`Sql::bind`] writes the placeholder and keeps the value. Both engines read `$1`.
//! Unlike `diesel::sql_query`, short statements are prepared once per connection.

use super::{DbConn, DbError};
use crate::on_backend;
use diesel::backend::Backend;
use diesel::deserialize::FromSqlRow;
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::sql_types::{Array, BigInt, Binary, Text, Untyped};
use diesel::sqlite::Sqlite;
use diesel::{PgConnection, QueryableByName, RunQueryDsl, SqliteConnection};
use std::marker::PhantomData;

/// Statements with more values than this are not kept prepared, so that a client cannot fill the statement cache
/// with ever new shapes.
const PREPARED_BINDS: usize = 12;

/// A value of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bind {
    /// TEXT
    Text(String),
    /// BIGINT
    BigInt(i64),
    /// BYTEA, BLOB
    Binary(Vec<u8>),
}

impl From<&str> for Bind {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

/// PostgreSQL holds no NUL in a text and fails the whole statement for one; in its place stands U+FFFD, on both engines.
impl From<String> for Bind {
    fn from(text: String) -> Self {
        Self::Text(if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text })
    }
}

impl From<i64> for Bind {
    fn from(number: i64) -> Self {
        Self::BigInt(number)
    }
}

impl From<Vec<u8>> for Bind {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Binary(bytes)
    }
}

/// A statement in the making.
#[derive(Debug, Clone, Default)]
pub struct Sql {
    parts: Vec<Part>,
    binds: usize,
    is_once: bool,
}

#[derive(Debug, Clone)]
enum Part {
    Text(String),
    Bind(Bind),
    /// Both engines' forms of a list.
    Among {
        ids: Vec<i64>,
        json: String,
    },
}

impl Sql {
    /// Starts with `text`.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut sql = Self::default();
        sql.push(text);
        sql
    }

    /// Appends text of our own; never a value from outside.
    pub fn push(&mut self, text: &str) -> &mut Self {
        if let Some(Part::Text(last)) = self.parts.last_mut() {
            last.push_str(text);
        } else {
            self.parts.push(Part::Text(text.to_owned()));
        }
        self
    }

    /// Appends a placeholder for `value`, or `NULL`.
    pub fn bind_or_null(&mut self, value: Option<impl Into<Bind>>) -> &mut Self {
        match value {
            Some(value) => self.bind(value),
            None => self.push("NULL"),
        }
    }

    /// Appends a placeholder for `value`.
    pub fn bind(&mut self, value: impl Into<Bind>) -> &mut Self {
        self.parts.push(Part::Bind(value.into()));
        self.binds += 1;
        self
    }

    /// Appends the condition that what stands before is one of `ids`: one value of the statement, however many there
    /// are, so that it stays prepared.
    pub fn among(&mut self, ids: Vec<i64>) -> &mut Self {
        let texts: Vec<String> = ids.iter().map(i64::to_string).collect();
        self.parts.push(Part::Among { ids, json: format!("[{}]", texts.join(",")) });
        self.binds += 1;
        self
    }

    /// Marks a statement whose text will hardly come again: it is not kept prepared.
    #[must_use]
    pub fn once(mut self) -> Self {
        self.is_once = true;
        self
    }

    /// Appends another statement's text and values.
    pub fn append(&mut self, other: Self) -> &mut Self {
        for part in other.parts {
            match part {
                Part::Text(text) => self.push(&text),
                Part::Bind(value) => self.bind(value),
                Part::Among { ids, .. } => self.among(ids),
            };
        }
        self
    }
}

impl Sql {
    /// Runs a statement and reads its rows, columns by their names.
    ///
    /// # Errors
    /// When the database fails.
    pub fn rows<R>(self, conn: &mut DbConn) -> Result<Vec<R>, DbError>
    where
        R: FromSqlRow<Untyped, Pg> + FromSqlRow<Untyped, Sqlite> + 'static,
    {
        Ok(on_backend!(conn, c => self.load::<R>(c))?)
    }

    /// Runs a statement; how many rows it changed.
    ///
    /// # Errors
    /// When the database fails.
    pub fn run(self, conn: &mut DbConn) -> Result<usize, DbError> {
        Ok(on_backend!(conn, c => self.execute(c))?)
    }

    /// Runs a statement that answers one row, and reads its column `number`.
    ///
    /// # Errors
    /// When the database fails, or there is no row.
    pub fn number(self, conn: &mut DbConn) -> Result<i64, DbError> {
        Ok(on_backend!(conn, c => self.get_result::<Number>(c))?.number)
    }
}

/// A row of one number.
#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

/// A statement whose columns have the types `ST`: rows are then read by place, which is quicker than by name.
#[derive(Debug, Clone)]
pub struct Typed<ST> {
    sql: Sql,
    columns: PhantomData<ST>,
}

impl Sql {
    /// Says what columns the statement answers with.
    #[must_use]
    pub fn typed<ST>(self) -> Typed<ST> {
        Typed { sql: self, columns: PhantomData }
    }
}

impl<ST> QueryId for Typed<ST> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<ST> Query for Typed<ST> {
    type SqlType = ST;
}

impl<ST> RunQueryDsl<PgConnection> for Typed<ST> {}
impl<ST> RunQueryDsl<SqliteConnection> for Typed<ST> {}

impl QueryId for Sql {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for Sql {
    type SqlType = Untyped;
}

impl RunQueryDsl<PgConnection> for Sql {}
impl RunQueryDsl<SqliteConnection> for Sql {}

/// Writes [`Sql::among`] as each engine reads it.
trait Among: Backend {
    fn push_among<'b>(out: AstPass<'_, 'b, Self>, ids: &'b [i64], json: &'b str) -> QueryResult<()>;
}

impl Among for Pg {
    fn push_among<'b>(mut out: AstPass<'_, 'b, Self>, ids: &'b [i64], _json: &'b str) -> QueryResult<()> {
        out.push_sql(" = ANY(");
        out.push_bind_param::<Array<BigInt>, _>(ids)?;
        out.push_sql(")");
        Ok(())
    }
}

impl Among for Sqlite {
    fn push_among<'b>(mut out: AstPass<'_, 'b, Self>, _ids: &'b [i64], json: &'b str) -> QueryResult<()> {
        out.push_sql(" IN (SELECT value FROM json_each(");
        out.push_bind_param::<Text, _>(json)?;
        out.push_sql("))");
        Ok(())
    }
}

macro_rules! query_fragment {
    ($backend:ty) => {
        impl<ST> QueryFragment<$backend> for Typed<ST> {
            fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, $backend>) -> QueryResult<()> {
                self.sql.walk_ast(out)
            }
        }

        impl QueryFragment<$backend> for Sql {
            fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, $backend>) -> QueryResult<()> {
                if self.is_once || self.binds > PREPARED_BINDS {
                    out.unsafe_to_cache_prepared();
                }
                for part in &self.parts {
                    match part {
                        Part::Text(text) => out.push_sql(text),
                        Part::Bind(Bind::Text(text)) => out.push_bind_param::<Text, _>(text)?,
                        Part::Bind(Bind::BigInt(number)) => out.push_bind_param::<BigInt, _>(number)?,
                        Part::Bind(Bind::Binary(bytes)) => out.push_bind_param::<Binary, _>(bytes)?,
                        Part::Among { ids, json } => <$backend>::push_among(out.reborrow(), ids, json)?,
                    }
                }
                Ok(())
            }
        }
    };
}
query_fragment!(Pg);
query_fragment!(Sqlite);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_text_holds_no_nul() {
        assert_eq!(Bind::from("a\0b"), Bind::Text("a\u{fffd}b".into()));
        assert_eq!(Bind::from("ab".to_owned()), Bind::Text("ab".into()));
    }
}
