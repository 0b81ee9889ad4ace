//! Annotations one by one and in bulk: create, replace, change, read, delete, restore (annotate.md, sections 3
//! and 11).

use super::answer::{self, json};
use super::reading::Reading;
use super::route::{Kind, add};
use super::writing::{Writing, version};
use crate::engine::WriteError;
use crate::error::Error;
use crate::model::{Body, Draft, Form, pairs, read_body};
use crate::store::{self, Change, Refusal, Written};
use actix_web::http::{StatusCode, header};
use actix_web::web::{self, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use uuid::Uuid;

pub(super) fn routes(cfg: &mut ServiceConfig, prefix: &str) {
    add(cfg, prefix, Kind::Own("POST, PUT"), |resource| resource.post(put_annotation).put(put_annotation));
    add(cfg, &format!("{prefix}/{{id}}"), Kind::Own("GET, PUT, PATCH, DELETE"), |resource| {
        resource.get(find_annotation).put(put_annotation).patch(patch_annotation).delete(delete_annotation)
    });
    add(cfg, &format!("{prefix}/{{id}}/restore"), Kind::Own("POST"), |resource| {
        resource.post(restore_annotation)
    });
}

/// The id in a path or document, in exactly the form in which the service gives ids; no other is known.
pub(super) fn known_form(text: &str) -> Option<Uuid> {
    Uuid::try_parse(text).ok().filter(|id| id.to_string() == text)
}

/// Whether the query asks for dates as numbers; only the exact value does.
pub(super) fn form(req: &HttpRequest) -> Form {
    let pairs = pairs(req.query_string());
    let epoch = pairs.iter().find(|(name, _)| name == "Epoch");
    if epoch.is_some_and(|(_, value)| value == "1") { Form::Epoch } else { Form::Rfc3339 }
}

/// `POST` or `PUT …` and `PUT …/{id}`: creates an annotation or a list of them, or replaces the one of the given id.
async fn put_annotation(
    writing: Writing,
    path: Option<web::Path<String>>,
    payload: Payload,
) -> Result<HttpResponse, Error> {
    let body = writing.body(payload).await?;
    match (read_body(&body, writing.config.max_bulk)?, path) {
        (Body::One(draft), path) => put_one(&writing, *draft, path.map(web::Path::into_inner), &body).await,
        (Body::Many(drafts), None) => create_many(&writing, drafts, &body).await,
        (Body::Many(_), Some(_)) => Err(Error::Invalid("a list cannot replace one annotation".into())),
    }
}

async fn put_one(
    writing: &Writing,
    draft: Draft,
    path: Option<String>,
    body: &[u8],
) -> Result<HttpResponse, Error> {
    let form = draft.form;
    let id = match path {
        Some(path) if !draft.id.is_empty() && draft.id != path => {
            let text = format!("conflicting ids in request: url id {path}, body id {}", draft.id);
            return Err(Error::Original(text));
        }
        Some(path) => path,
        None => draft.id.clone(),
    };
    let unknown = || Error::Original(format!("could not find annotation with id {id} to update"));
    let (known, is_new) = if id.is_empty() { (Some(Uuid::new_v4()), true) } else { (known_form(&id), false) };
    if let (Some(id), false) = (known, is_new) {
        writing.permit(id, "edit")?;
    }
    let annotation = draft.complete(known.unwrap_or_default(), writing.now())?;
    known.ok_or_else(unknown)?;
    let change = if is_new { Change::Create(vec![annotation]) } else { Change::Replace(annotation) };
    match writing.submit(change, body).await? {
        Err(WriteError::Refused(Refusal::NotFound(_))) => Err(unknown()),
        written => one(&written?, form),
    }
}

/// The answer to a write of one annotation.
fn one(written: &Written, form: Form) -> Result<HttpResponse, Error> {
    let stored = written.stored.first().ok_or_else(|| Error::Storage("nothing was written".into()))?;
    Ok(marked(answer::annotation(stored, form), written))
}

/// Says so when the write had been done before.
pub(super) fn marked(mut answer: HttpResponse, written: &Written) -> HttpResponse {
    if written.is_replay {
        answer::set(&mut answer, "idempotent-replayed", "true");
    }
    answer
}

/// Creates all annotations of a list, or none.
async fn create_many(writing: &Writing, drafts: Vec<Draft>, body: &[u8]) -> Result<HttpResponse, Error> {
    let now = writing.now();
    let forms: Vec<Form> = drafts.iter().map(|draft| draft.form).collect();
    let new = |(place, draft): (usize, Draft)| {
        if !draft.id.is_empty() {
            return Err(Error::Invalid(format!("annotation {place}: Id cannot be set in a list")));
        }
        let complete = draft.complete(Uuid::new_v4(), now);
        complete.map_err(|cause| Error::Original(format!("annotation {place}: {cause}")))
    };
    let annotations = drafts.into_iter().enumerate().map(new).collect::<Result<Vec<_>, _>>()?;
    let written = writing.submit(Change::Create(annotations), body).await??;
    let list: Vec<_> =
        written.stored.iter().zip(forms).map(|(stored, form)| stored.annotation.wire(form)).collect();
    Ok(marked(json(&list), &written))
}

/// `PATCH …/{id}`: changes what the body names and leaves the rest.
async fn patch_annotation(
    writing: Writing,
    id: web::Path<String>,
    payload: Payload,
) -> Result<HttpResponse, Error> {
    let body = writing.body(payload).await?;
    let Body::One(draft) = read_body(&body, 1)? else {
        return Err(Error::Invalid("a list cannot change one annotation".into()));
    };
    if !draft.id.is_empty() && draft.id != *id {
        let text = format!("conflicting ids in request: url id {id}, body id {}", draft.id);
        return Err(Error::Original(text));
    }
    let (known, form) = (known_form(&id).ok_or(Error::NotFound)?, draft.form);
    let written = writing.submit(Change::Patch(known, *draft), &body).await??;
    one(&written, form)
}

/// `GET …/{id}[?Epoch=1]`.
async fn find_annotation(
    req: HttpRequest,
    id: web::Path<String>,
    reading: Reading,
) -> Result<HttpResponse, Error> {
    let seed = Error::ElasticNotFound(StatusCode::INTERNAL_SERVER_ERROR);
    let unknown = || if reading.config.seed_not_found { seed } else { Error::NotFound };
    let Some(id) = known_form(&id) else { return Err(unknown()) };
    let Some(stored) = reading.read(move |conn| store::find_annotation(conn, id)).await? else {
        return Err(unknown());
    };
    let tags = req.headers().get_all(header::IF_NONE_MATCH).filter_map(|tags| tags.to_str().ok());
    // Compared weakly, as the header asks for.
    let mut tags = tags.flat_map(|tags| tags.split(',')).map(|tag| tag.trim().trim_start_matches("W/"));
    if tags.any(|tag| tag == "*" || version(tag) == Some(stored.version)) {
        let mut answer = HttpResponse::new(StatusCode::NOT_MODIFIED);
        answer::set(&mut answer, "etag", &answer::etag(stored.version));
        return Ok(answer);
    }
    Ok(answer::annotation(&stored, form(&req)))
}

/// `DELETE …/{id}`. The history stays, and the annotation can be restored from it.
async fn delete_annotation(writing: Writing, id: web::Path<String>) -> Result<HttpResponse, Error> {
    let is_seed = writing.config.seed_not_found;
    let status = if is_seed { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::NOT_FOUND };
    let id = known_form(&id).ok_or(Error::ElasticNotFound(status))?;
    match writing.submit(Change::Delete(id), b"").await? {
        Err(WriteError::Refused(Refusal::NotFound(_))) => Err(Error::ElasticNotFound(status)),
        written => Ok(marked(HttpResponse::Ok().finish(), &written?)),
    }
}

/// `POST …/{id}/restore`: brings a deleted annotation back as it was.
async fn restore_annotation(
    req: HttpRequest,
    writing: Writing,
    id: web::Path<String>,
) -> Result<HttpResponse, Error> {
    let id = known_form(&id).ok_or(Error::NotFound)?;
    let written = writing.submit(Change::Restore(id), b"").await??;
    one(&written, form(&req))
}
