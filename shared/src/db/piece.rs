//! Lists of rows of which some may be very large: a statement is read only so far.

use super::{DbConn, DbError};
use diesel::connection::DefaultLoadingMode;
use diesel::pg::PgRowByRowLoadingMode;
use diesel::query_dsl::methods::LoadQuery;
use diesel::result::QueryResult;
use diesel::{PgConnection, RunQueryDsl, SqliteConnection};

/// The first rows of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece<R> {
    /// In the order of the statement.
    pub rows: Vec<R>,
    /// Whether reading ended because of the rows' bytes: there may be more.
    pub is_cut: bool,
}

/// Runs a statement and reads rows until they have `most` bytes together, the first one in any case: one row more than
/// fits, at most, is in memory. `bytes` tells the size of a row.
///
/// PostgreSQL sends the other rows all the same; they are dropped one by one.
///
/// # Errors
/// When the database fails.
pub fn load_piece<Q, R>(
    conn: &mut DbConn,
    query: Q,
    most: usize,
    bytes: impl Fn(&R) -> usize,
) -> Result<Piece<R>, DbError>
where
    Q: RunQueryDsl<PgConnection> + RunQueryDsl<SqliteConnection> + 'static,
    Q: LoadQuery<'static, PgConnection, R, PgRowByRowLoadingMode>,
    Q: LoadQuery<'static, SqliteConnection, R, DefaultLoadingMode>,
    R: 'static,
{
    Ok(match conn {
        DbConn::Postgres(conn) => take(
            RunQueryDsl::<PgConnection>::load_iter::<R, PgRowByRowLoadingMode>(query, conn)?,
            most,
            bytes,
        )?,
        DbConn::Sqlite(conn) => take(
            RunQueryDsl::<SqliteConnection>::load_iter::<R, DefaultLoadingMode>(query, conn)?,
            most,
            bytes,
        )?,
    })
}

fn take<R>(
    from: impl Iterator<Item = QueryResult<R>>,
    most: usize,
    bytes: impl Fn(&R) -> usize,
) -> QueryResult<Piece<R>> {
    let (mut rows, mut held) = (Vec::new(), 0_usize);
    for row in from {
        let row = row?;
        held = held.saturating_add(bytes(&row));
        rows.push(row);
        if held >= most {
            return Ok(Piece { rows, is_cut: true });
        }
    }
    Ok(Piece { rows, is_cut: false })
}
