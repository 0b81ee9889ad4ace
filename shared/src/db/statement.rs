//! SQL text of our own with typed values, prepared once per connection.
//!
//! `diesel::sql_query` is read and analysed by PostgreSQL anew for each call, at the price of one more round trip.

use diesel::backend::Backend;
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::serialize::ToSql;
use diesel::sql_types::{HasSqlType, Untyped};
use diesel::{PgConnection, RunQueryDsl};
use std::marker::PhantomData;

/// A statement of PostgreSQL; its text holds a `?` for each value that is bound to it, in their order.
#[must_use]
pub fn statement(text: &'static str) -> Statement<()> {
    Statement { bound: (), rest: text }
}

/// A statement with its values; rows are read by name.
#[derive(Debug, Clone, Copy)]
pub struct Statement<V> {
    bound: V,
    rest: &'static str,
}

/// What stands before, the text up to the next placeholder, and its value of the type `ST`.
#[derive(Debug, Clone, Copy)]
pub struct And<V, ST, T> {
    before: V,
    text: &'static str,
    value: T,
    sql_type: PhantomData<ST>,
}

impl<V> Statement<V> {
    /// Binds the value of the next placeholder.
    #[must_use]
    pub fn bind<ST, T>(self, value: T) -> Statement<And<V, ST, T>> {
        let (text, rest) = self.rest.split_once('?').unwrap_or((self.rest, ""));
        Statement { bound: And { before: self.bound, text, value, sql_type: PhantomData }, rest }
    }
}

impl<V: QueryFragment<Pg>> QueryFragment<Pg> for Statement<V> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.bound.walk_ast(out.reborrow())?;
        out.push_sql(self.rest);
        Ok(())
    }
}

impl<V, ST, T> QueryFragment<Pg> for And<V, ST, T>
where
    V: QueryFragment<Pg>,
    T: ToSql<ST, Pg>,
    Pg: Backend + HasSqlType<ST>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.before.walk_ast(out.reborrow())?;
        out.push_sql(self.text);
        out.push_bind_param::<ST, _>(&self.value)
    }
}

impl<V> QueryId for Statement<V> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<V> Query for Statement<V> {
    type SqlType = Untyped;
}

impl<V> RunQueryDsl<PgConnection> for Statement<V> {}
