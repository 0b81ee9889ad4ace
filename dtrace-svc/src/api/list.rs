//! `GET /dtrace`: ids, or objects when asked for, in pages straight from the store; memory holds one page at a time.

use super::call::Call;
use crate::error::Error;
use crate::model::Fields;
use crate::permit::SPELLINGS;
use crate::store::{self, After};
use crate::wire::Format;
use actix_web::HttpResponse;
use actix_web::web::{Bytes, Data};
use futures_util::{Stream, stream};
use shared::db::Db;
use shared::permission::Patterns;
use std::sync::Arc;

/// `GET /dtrace`: the scripts that the caller may get, by name, then id.
pub(crate) async fn list_scripts(call: Call, db: Data<Db>) -> Result<HttpResponse, Error> {
    let format = call.permit_all("list")?;
    let visible = Visible(call.principal.permissions.iter().collect());
    let list = List { db: db.get_ref().clone(), visible: Arc::new(visible), shown: shown(&call), format };
    // The first page before the answer begins: until then a refusal can still be told.
    let count = match format {
        Format::Json => None,
        Format::Msgpack => Some(list.count().await?),
    };
    let first = list.page(None).await?;
    Ok(HttpResponse::Ok().content_type(format.media_type()).streaming(Box::pin(list.stream(first, count))))
}

/// What a list shows of each script: its id, or an object.
type Shown = Option<Fields>;

/// Objects when the query or else the header says so; of those all members, or the named ones.
///
/// Of the query's parameters and the headers the query wins; fields without full list say nothing.
fn shown(call: &Call) -> Shown {
    let query = call.query();
    let full = query.get("full-list").or_else(|| call.header("x-full-list"));
    let fields = query.get("full-list-fields").or_else(|| call.header("x-full-list-fields"));
    full.is_some_and(|word| word.eq_ignore_ascii_case("true"))
        .then(|| fields.map_or(Fields::ALL, Fields::named))
}

/// What the caller may see.
struct Visible(Patterns);

impl Visible {
    fn has(&self, uuid: &str) -> bool {
        SPELLINGS.iter().any(|kind| self.0.allows(&[kind, uuid, "get"]))
    }
}

/// A list under way.
struct List {
    db: Db,
    visible: Arc<Visible>,
    shown: Shown,
    format: Format,
}

/// Items in their wire form, and where to go on: nowhere at the end.
struct Page {
    items: Vec<Vec<u8>>,
    after: Option<After>,
}

impl List {
    async fn page(&self, after: Option<After>) -> Result<Page, Error> {
        let (visible, shown, format) = (Arc::clone(&self.visible), self.shown.clone(), self.format);
        let page = self.db.read(move |conn| {
            let Some(fields) = shown else {
                let (ids, after) = visible_ids(store::list_keys(conn, after.as_ref())?, &visible);
                return Ok(Page {
                    items: ids.iter().map(|id| format.encode(&id.as_str().into())).collect(),
                    after,
                });
            };
            let (scripts, after) = store::list_scripts(conn, after.as_ref())?;
            let scripts = scripts.into_iter().filter(|script| visible.has(&script.uuid));
            let items = scripts.map(|script| match format {
                Format::Json => script.json(&fields).into_bytes(),
                Format::Msgpack => format.encode(&script.value(&fields)),
            });
            Ok::<_, Error>(Page { items: items.collect(), after })
        });
        page.await
    }

    /// How many items there are: msgpack says it before the first.
    async fn count(&self) -> Result<u32, Error> {
        let (mut count, mut after) = (0, None);
        loop {
            let visible = Arc::clone(&self.visible);
            let keys = self.db.read(move |conn| {
                Ok::<_, Error>(visible_ids(store::list_keys(conn, after.as_ref())?, &visible))
            });
            let (ids, next) = keys.await?;
            count += u32::try_from(ids.len()).unwrap_or(u32::MAX);
            after = next;
            if after.is_none() {
                return Ok(count);
            }
        }
    }

    /// The whole list. In msgpack exactly `count` items: scripts made meanwhile are left out, and when some are
    /// removed meanwhile the answer breaks off.
    fn stream(self, first: Page, count: Option<u32>) -> impl Stream<Item = Result<Bytes, Error>> {
        let opening = match count {
            None => b"[".to_vec(),
            Some(count) => [&[0xdd], count.to_be_bytes().as_slice()].concat(),
        };
        stream::try_unfold(
            (self, Some(first), opening, 0_u32),
            move |(list, page, mut chunk, mut written)| async move {
                let Some(page) = page else { return Ok(None) };
                for item in page.items {
                    if count == Some(written) {
                        break;
                    }
                    if count.is_none() && written > 0 {
                        chunk.push(b',');
                    }
                    chunk.extend(item);
                    written += 1;
                }
                let next = match page.after {
                    Some(after) => Some(list.page(Some(after)).await?),
                    None if count.is_none() => {
                        chunk.push(b']');
                        None
                    }
                    None if count == Some(written) => None,
                    None => {
                        return Err(Error::Unavailable("the list became shorter while it was read".into()));
                    }
                };
                Ok(Some((Bytes::from(chunk), (list, next, Vec::new(), written))))
            },
        )
    }
}

fn visible_ids(keys: Vec<After>, visible: &Visible) -> (Vec<String>, Option<After>) {
    let after = keys.last().cloned();
    (keys.into_iter().map(|(_, uuid)| uuid).filter(|uuid| visible.has(uuid)).collect(), after)
}
