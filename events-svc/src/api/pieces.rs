//! Lists as answers: written piece by piece, so that a long one never stands in memory whole.
//!
//! The first piece is read before the answer begins, so that a fault still has its status. A list of one piece goes
//! out with its length; a longer one is streamed, each piece one turn at the database.

use crate::store::StoreError;
use actix_web::HttpResponse;
use actix_web::web::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use shared::db::{Db, DbConn};
use std::future::ready;

/// Answers with a text that is written in turns. `turn` adds to the text and tells where the next turn goes on; `None`
/// ends the text.
///
/// # Errors
/// What the first piece fails with.
pub(super) async fn answer<S, F>(
    db: &Db,
    content_type: &'static str,
    start: S,
    turn: F,
) -> Result<HttpResponse, StoreError>
where
    S: Send + 'static,
    F: Fn(&mut DbConn, S, &mut String) -> Result<Option<S>, StoreError> + Clone + Send + 'static,
{
    let list = List { db: db.clone(), turn };
    let (first, rest) = list.piece(start).await?;
    let mut answer = HttpResponse::Ok();
    answer.content_type(content_type);
    let Some(rest) = rest else { return Ok(answer.body(first)) };
    let later = stream::try_unfold((list, Some(rest)), async |(list, rest)| {
        let Some(state) = rest else { return Ok(None) };
        let (piece, rest) = list.piece(state).await?;
        Ok(Some((piece, (list, rest))))
    });
    // Too late for a status: the client sees the answer break off.
    let later = later.inspect_err(|fault: &StoreError| log::error!("an answer broke off: {fault:?}"));
    Ok(answer.streaming(stream::once(ready(Ok(first))).chain(later).map_ok(Bytes::from)))
}

/// Most rows of the piece after one that had so many, of `most`: a database sends what is not read all the same, so after
/// large rows no more are asked for than may fit.
pub(super) fn next(most: usize, rows: usize, is_cut: bool) -> usize {
    if is_cut { rows.max(1) } else { most.saturating_mul(2) }
}

struct List<F> {
    db: Db,
    turn: F,
}

impl<F> List<F> {
    /// Turns until there is text to send, for an empty piece would end the answer; and where the list goes on.
    async fn piece<S>(&self, mut state: S) -> Result<(String, Option<S>), StoreError>
    where
        S: Send + 'static,
        F: Fn(&mut DbConn, S, &mut String) -> Result<Option<S>, StoreError> + Clone + Send + 'static,
    {
        loop {
            let turn = self.turn.clone();
            let read = self.db.read(move |conn| {
                let mut text = String::new();
                let next = turn(conn, state, &mut text)?;
                Ok::<_, StoreError>((text, next))
            });
            match read.await? {
                (text, Some(next)) if text.is_empty() => state = next,
                (text, next) => return Ok((text, next)),
            }
        }
    }
}
