//! What every reading handler asks for: the store, the clock, the settings.

use crate::config::Config;
use crate::error::Error;
use crate::model::{Field, Filter, Parameters, Visible, Window};
use crate::store::{self, DbError, Page, Place, Search, Stored};
use actix_web::web::Data;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use chrono::{DateTime, Utc};
use shared::clock::SharedClock;
use shared::db::{Db, DbConn};
use shared::identity::Principal;
use std::collections::HashMap;
use std::future::{Ready, ready};

/// Annotations that are read at once when all are needed.
const CHUNK: usize = 2000;

/// The reading side of the service.
#[derive(Clone)]
pub(super) struct Reading {
    pub(super) config: Data<Config>,
    db: Data<Db>,
    clock: Data<SharedClock>,
    pub(super) visible: Visible,
}

impl FromRequest for Reading {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(req: &HttpRequest, _: &mut actix_web::dev::Payload) -> Self::Future {
        let parts = || {
            Some(Self {
                config: req.app_data::<Data<Config>>()?.clone(),
                db: req.app_data::<Data<Db>>()?.clone(),
                clock: req.app_data::<Data<SharedClock>>()?.clone(),
                visible: Visible::to(&req.extensions().get::<Principal>()?.permissions),
            })
        };
        ready(parts().ok_or_else(|| Error::Storage("the service is not put together".into())))
    }
}

impl Reading {
    /// The present instant.
    pub(super) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Runs a query.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&mut DbConn) -> Result<T, DbError> + Send + 'static,
    ) -> Result<T, Error> {
        self.db.read(move |conn| query(conn).map_err(Error::from)).await
    }

    /// A page of a list.
    pub(super) async fn page(
        &self,
        mut search: Search,
        after: Option<Place>,
        most: usize,
    ) -> Result<Page, Error> {
        search.visible = self.visible.clone();
        self.read(move |conn| store::list_annotations(conn, &search, after, most)).await
    }

    /// The best matches of a search for words.
    pub(super) async fn relevant(&self, mut search: Search, most: usize) -> Result<Vec<Stored>, Error> {
        search.visible = self.visible.clone();
        self.read(move |conn| store::list_relevant(conn, &search, most)).await
    }

    /// The values of a field with how many annotations have each, most frequent first: from the counters, or from the
    /// annotations that the caller may see.
    pub(super) async fn values(&self, field: Field, most: usize) -> Result<Vec<(String, i64)>, Error> {
        if self.visible.is_all() {
            return self.read(move |conn| store::list_values(conn, field, most)).await;
        }
        self.values_of(Search { window: Window::of_millis(None, None), ..Search::default() }, field, most)
            .await
    }

    /// The same of the annotations of a search.
    pub(super) async fn values_of(
        &self,
        search: Search,
        field: Field,
        most: usize,
    ) -> Result<Vec<(String, i64)>, Error> {
        let mut counts: HashMap<String, i64> = HashMap::new();
        for stored in self.all(search).await? {
            let value = stored.annotation.texts.get(field);
            if !value.is_empty() {
                *counts.entry(value.to_owned()).or_default() += 1;
            }
        }
        let mut counts: Vec<(String, i64)> = counts.into_iter().collect();
        counts.sort_unstable_by(|(a, more), (b, less)| less.cmp(more).then_with(|| a.cmp(b)));
        counts.truncate(most);
        Ok(counts)
    }

    /// All annotations of a search, refused when they are more than one answer may look at.
    pub(super) async fn all(&self, search: Search) -> Result<Vec<Stored>, Error> {
        let most = self.config.max_rows;
        let (found, is_all) = self.some(search, most).await?;
        if is_all { Ok(found) } else { Err(Error::TooMany(most)) }
    }

    /// The first annotations of a search, and whether these are all.
    pub(super) async fn some(&self, search: Search, most: usize) -> Result<(Vec<Stored>, bool), Error> {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = self.page(search.clone(), after, CHUNK.min(most - found.len())).await?;
            found.extend(page.found);
            after = page.next;
            if after.is_none() || found.len() >= most {
                return Ok((found, after.is_none()));
            }
        }
    }
}

/// How many annotations a search has, as a number, or `100000+` beyond `most`.
pub(super) async fn count(reading: &Reading, search: Search, most: usize) -> Result<String, Error> {
    let (mut total, mut after) = (0, None);
    loop {
        let page = reading.page(search.clone(), after, CHUNK).await?;
        total += page.found.len();
        after = page.next;
        if total > most {
            return Ok(format!("{most}+"));
        }
        if after.is_none() {
            return Ok(total.to_string());
        }
    }
}

impl Search {
    /// What the parameters of a request look for, oldest first. `filter` is read when the route has it.
    pub(super) fn of(parameters: &Parameters) -> Result<Self, Error> {
        let filter = parameters.own("filter").unwrap_or_default();
        Ok(Self {
            window: parameters.window,
            conditions: parameters.conditions.clone(),
            filter: Filter::parse(filter)?,
            ..Self::default()
        })
    }
}
