//! Lists and single events as answers, in JSON and XML.

use super::accept::Representation;
use super::error::Fault;
use super::xml;
use crate::api::pieces;
use crate::model::TraitDescription;
use crate::store::{StoreError, StoredEvent};
use crate::wire::push_quoted;
use crate::wire::v2::{push_event, push_trait};
use actix_web::HttpResponse;
use shared::db::{Db, DbConn};

/// Events or values that one piece reads from the database.
pub(super) const PIECE: usize = 1000;

/// The text of a list in the making.
pub(super) struct Items {
    to: Representation,
    text: String,
    is_empty: bool,
}

impl Items {
    fn open(to: Representation) -> Self {
        let text = if to.is_xml() { "<result>" } else { "[" };
        Self { to, text: text.into(), is_empty: true }
    }

    fn close(&mut self) {
        match (self.to.is_xml(), self.is_empty) {
            (false, _) => self.text.push(']'),
            (true, false) => self.text.push_str("</result>"),
            (true, true) => self.text = "<result />".into(),
        }
    }

    /// Separates an item from the one before it, and says whether it is XML.
    fn begin(&mut self) -> bool {
        if !self.to.is_xml() && !self.is_empty {
            self.text.push(',');
        }
        self.is_empty = false;
        self.to.is_xml()
    }

    /// A whole event.
    pub(super) fn push_event(&mut self, event: &StoredEvent) -> Result<(), StoreError> {
        if self.begin() {
            self.text.push_str("<item>");
            push_xml_event(&mut self.text, event)?;
            self.text.push_str("</item>");
        } else {
            push_event(&mut self.text, &event.head, &event.raw);
        }
        Ok(())
    }

    /// A text: the name of an event type.
    pub(super) fn push_text(&mut self, text: &str) {
        if self.begin() {
            xml::push_text(&mut self.text, text);
        } else {
            push_quoted(&mut self.text, text);
        }
    }

    /// Name and type of a trait.
    pub(super) fn push_description(&mut self, description: &TraitDescription) {
        if self.begin() {
            xml::push_description(&mut self.text, description);
        } else {
            self.text.push_str("{\"type\":");
            push_quoted(&mut self.text, &description.kind);
            self.text.push_str(",\"name\":");
            push_quoted(&mut self.text, &description.name);
            self.text.push('}');
        }
    }

    /// An instance of a trait.
    pub(super) fn push_trait(&mut self, description: &TraitDescription, value: &str) {
        let TraitDescription { name, kind } = description;
        if self.begin() {
            xml::push_trait(&mut self.text, name, value, kind);
        } else {
            push_trait(&mut self.text, name, kind, value);
        }
    }
}

fn push_xml_event(out: &mut String, event: &StoredEvent) -> Result<(), StoreError> {
    let mut json = String::with_capacity(event.head.len() + event.raw.len() + 1);
    push_event(&mut json, &event.head, &event.raw);
    let unreadable = |cause: serde_json::Error| diesel::result::Error::DeserializationError(Box::new(cause));
    Ok(xml::push_event(out, &json).map_err(unreadable)?)
}

/// One event as the whole answer.
pub(super) fn single(to: Representation, event: &StoredEvent) -> Result<HttpResponse, Fault> {
    let mut body = String::new();
    if to.is_xml() {
        body.push_str("<result>");
        push_xml_event(&mut body, event)?;
        body.push_str("</result>");
    } else {
        push_event(&mut body, &event.head, &event.raw);
    }
    Ok(HttpResponse::Ok().content_type(to.content_type()).body(body))
}

/// Answers a list. `turn` adds items and tells where the next turn goes on; `None` ends the list.
pub(super) async fn list<S, F>(db: &Db, to: Representation, start: S, turn: F) -> Result<HttpResponse, Fault>
where
    S: Send + 'static,
    F: Fn(&mut DbConn, S, &mut Items) -> Result<Option<S>, StoreError> + Clone + Send + 'static,
{
    let turn = move |conn: &mut DbConn, (mut items, state): (Items, S), text: &mut String| {
        let next = turn(conn, state, &mut items)?;
        if next.is_none() {
            items.close();
        }
        *text = std::mem::take(&mut items.text);
        Ok(next.map(|next| (items, next)))
    };
    Ok(pieces::answer(db, to.content_type(), (Items::open(to), start), turn).await?)
}
