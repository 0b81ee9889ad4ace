//! The replicas of this service, and the definitions that they should run by and do run by.

use diesel::sql_types::{BigInt, Nullable, Text};
use diesel::{Connection, QueryableByName};
use shared::db::{DbConn, DbError, Sql, present};

/// A process that works on these tables.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct ReplicaRow {
    /// Its name.
    #[diesel(sql_type = Text)]
    pub name: String,
    /// Digest of the definitions it runs by.
    #[diesel(sql_type = Text)]
    pub digest: String,
    /// Why it has not taken those of the last reload.
    #[diesel(sql_type = Nullable<Text>)]
    pub trouble: Option<String>,
}

/// What the last reload has put in force.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Announced {
    /// Number of reloads.
    #[diesel(sql_type = BigInt)]
    pub generation: i64,
    /// Digest of the definitions.
    #[diesel(sql_type = Text)]
    pub digest: String,
}

/// Makes known to all replicas that the definitions of this one are in force.
///
/// # Errors
/// When the database fails; nothing has happened then.
pub fn announce_definitions(conn: &mut DbConn, replica: &ReplicaRow) -> Result<(), DbError> {
    conn.transaction(|conn| {
        let mut sql = Sql::new("INSERT INTO definitions (id, generation, digest) VALUES (1, 1, ");
        sql.bind(replica.digest.as_str()).push(") ON CONFLICT (id) DO UPDATE SET ");
        sql.push("generation = definitions.generation + 1, digest = excluded.digest");
        sql.run(conn)?;
        put_row(conn, replica)
    })
}

/// What the last reload has put in force, if there was one.
///
/// # Errors
/// When the database fails.
pub fn find_announced(conn: &mut DbConn) -> Result<Option<Announced>, DbError> {
    let rows: Vec<Announced> = Sql::new("SELECT generation, digest FROM definitions").rows(conn)?;
    Ok(rows.into_iter().next())
}

/// Says that a replica is alive, and by what it runs; forgets those that were silent for `silence` microseconds.
///
/// When nobody runs by the definitions of the last reload any more, because all were started anew with others, those of
/// this replica are in force.
///
/// # Errors
/// When the database fails.
pub fn put_replica(conn: &mut DbConn, replica: &ReplicaRow, silence: i64) -> Result<(), DbError> {
    put_row(conn, replica)?;
    let mut sql = Sql::new("DELETE FROM replicas WHERE seen NOT BETWEEN ");
    sql.append(alive(conn, silence));
    sql.run(conn)?;
    let mut sql = Sql::new("UPDATE definitions SET generation = generation + 1, digest = ");
    sql.bind(replica.digest.as_str()).push(" WHERE digest NOT IN (SELECT digest FROM replicas)");
    sql.run(conn).map(|_count| ())
}

/// The bounds, for `BETWEEN`, in which whoever lives was last seen. Nobody was seen after the present, unless the clock
/// was set back: who died before that must not live until it has caught up.
pub(super) fn alive(conn: &DbConn, silence: i64) -> Sql {
    let present = present(conn);
    let mut sql = Sql::new(present);
    sql.push(" - ").bind(silence).push(" AND ").push(present).push(" + ").bind(silence);
    sql
}

fn put_row(conn: &mut DbConn, replica: &ReplicaRow) -> Result<(), DbError> {
    let mut sql = Sql::new("INSERT INTO replicas (name, seen, digest, trouble) VALUES (");
    sql.bind(replica.name.as_str()).push(", ").push(present(conn)).push(", ");
    sql.bind(replica.digest.as_str()).push(", ");
    sql.bind_or_null(replica.trouble.as_deref());
    sql.push(") ON CONFLICT (name) DO UPDATE SET ");
    sql.push("seen = excluded.seen, digest = excluded.digest, trouble = excluded.trouble");
    sql.run(conn).map(|_one| ())
}

/// The replicas that are alive: silent for no longer than `silence` microseconds.
///
/// # Errors
/// When the database fails.
pub fn list_replicas(conn: &mut DbConn, silence: i64) -> Result<Vec<ReplicaRow>, DbError> {
    let mut sql = Sql::new("SELECT name, digest, trouble FROM replicas WHERE seen BETWEEN ");
    sql.append(alive(conn, silence)).push(" ORDER BY name");
    sql.rows(conn)
}

/// Forgets a replica that stops.
///
/// # Errors
/// When the database fails.
pub fn delete_replica(conn: &mut DbConn, name: &str) -> Result<(), DbError> {
    let mut sql = Sql::new("DELETE FROM replicas WHERE name = ");
    sql.bind(name);
    sql.run(conn).map(|_one| ())
}
