//! Which path belongs to whom. The table itself is in [`table`]; here is what its words mean and how it is read.

mod matcher;
#[cfg(test)]
mod permission_tests;
pub(crate) mod table;
#[cfg(test)]
mod tests;

pub(crate) use matcher::{Found, Router};

use crate::model::Kind;
use hyper::Method;
use hyper::header::HeaderValue;
use percent_encoding::percent_decode_str;
use std::borrow::Cow;

/// An API of the product: it decides how an error of the gateway looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Api {
    /// Streams, events and notifications in `StackTach` v3's form.
    StackTach,
    /// Events v2, in Panko's form.
    Panko,
    /// Plugins, metrics, tasks and tribe in Snap's first version.
    SnapV1,
    /// The same in Snap's second version.
    SnapV2,
    /// `DTrace` scripts in Project-FiFo's form.
    Fifo,
    /// Annotations in Bosun's form.
    Annotate,
    /// The same in the form of Grafana's annotation API.
    Grafana,
    /// The gateway's own pages, and paths that nobody owns.
    Gateway,
}

impl Api {
    /// Whether this is one of Snap's versions.
    #[must_use]
    pub(crate) fn is_snap(self) -> bool {
        matches!(self, Self::SnapV1 | Self::SnapV2)
    }

    /// The API whose compat listener has this one: Snap's versions share one, and Grafana's form comes with Bosun's.
    #[must_use]
    pub(crate) fn listener(self) -> Self {
        match self {
            Self::SnapV2 => Self::SnapV1,
            Self::Grafana => Self::Annotate,
            Self::StackTach | Self::Panko | Self::SnapV1 | Self::Fifo | Self::Annotate | Self::Gateway => {
                self
            }
        }
    }
}

/// A service behind the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    /// events-svc
    Events,
    /// streams-svc
    Streams,
    /// tasks-svc
    Tasks,
    /// tribe-svc
    Tribe,
    /// annotate-svc
    Annotate,
    /// dtrace-svc
    Dtrace,
}

impl Service {
    /// All services, in the order of their numbers.
    pub(crate) const ALL: [Self; 6] =
        [Self::Events, Self::Streams, Self::Tasks, Self::Tribe, Self::Annotate, Self::Dtrace];

    /// The short name, as in the settings.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Streams => "streams",
            Self::Tasks => "tasks",
            Self::Tribe => "tribe",
            Self::Annotate => "annotate",
            Self::Dtrace => "dtrace",
        }
    }

    /// Place in lists that hold one thing for each service.
    #[must_use]
    pub(crate) fn index(self) -> usize {
        Self::ALL.iter().position(|service| *service == self).unwrap_or(0)
    }
}

/// A page that the gateway answers itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Page {
    /// What there is, for people and programs.
    Index,
    /// Whether the process runs.
    Livez,
    /// Whether it can answer; `?verbose` tells about every service.
    Readyz,
    /// Figures for Prometheus.
    Metrics,
    /// Version of the program.
    Version,
    /// API documents and the page that shows them.
    Docs,
    /// The list of API tokens; making one.
    Tokens,
    /// Revoking one API token.
    Token,
    /// Users, roles or clients, their permissions, and what else they have.
    Holders(Kind),
    /// OAuth 2: making tokens.
    OAuthToken,
    /// OAuth 2: revoking tokens.
    OAuthRevoke,
    /// OAuth 2: sending a user back to a client with a code.
    OAuthAuthorize,
    /// Logins of `FiFo`'s first version, and one-time tokens.
    Sessions,
    /// Registered scopes.
    Scopes,
    /// The log of what was done.
    Audit,
    /// Whether the log is whole.
    AuditVerify,
    /// For services: whose a token is.
    Identity,
}

/// Who answers a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// A service; the path is forwarded as it came.
    Service(Service),
    /// A service; the first text at the start of the path is replaced by the second.
    Rewritten(Service, &'static str, &'static str),
    /// The gateway.
    Page(Page),
}

/// What a request costs and how long it may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// An ordinary request.
    Quick,
    /// Notifications or events come in: larger bodies, more time.
    Ingest,
    /// A plugin comes in.
    Upload,
    /// The answer goes on until somebody ends it.
    Stream,
    /// A websocket.
    Socket,
}

/// Who may do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Everybody, in every mode.
    Public,
    /// Whoever holds the permission.
    Permission,
    /// Whoever is logged in.
    Login,
    /// Holders of the role `admin`.
    Admin,
}

/// One method of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Action {
    /// The method.
    pub(crate) method: Method,
    /// The permission in FiFo's form; `{name}` stands for that part of the path.
    pub(crate) permission: &'static str,
    /// Cost and time.
    pub(crate) class: Class,
    /// Who may do it.
    pub(crate) access: Access,
}

impl Action {
    const fn new(method: Method, permission: &'static str) -> Self {
        Self { method, permission, class: Class::Quick, access: Access::Permission }
    }

    const fn class(mut self, class: Class) -> Self {
        self.class = class;
        self
    }

    const fn access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// Whether asking twice is as good as asking once and changes nothing: then a failed try may be repeated.
    #[must_use]
    pub(crate) fn is_retryable(&self) -> bool {
        matches!(self.method, Method::GET | Method::HEAD)
            && matches!(self.class, Class::Quick | Class::Stream)
    }
}

/// What a `/` at the end of a path means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slash {
    /// Nothing: the path is the same.
    Same,
    /// Another path, and nobody owns it.
    Unknown,
    /// The client is sent to the path without it (Snap's router), as it is for wrong letter case.
    Redirect,
}

/// A path with its methods, ready for use.
#[derive(Debug)]
pub(crate) struct Route {
    /// Place in the router's list.
    pub(crate) index: usize,
    /// `/v1/streams/{id}`; also the name in the metrics.
    pub(crate) pattern: String,
    /// Whose error bodies it uses.
    pub(crate) api: Api,
    /// Who answers.
    pub(crate) owner: Owner,
    /// The methods.
    pub(crate) actions: &'static [Action],
    /// The value of `Allow`.
    pub(crate) allow: HeaderValue,
    slash: Slash,
}

impl Route {
    /// What `method` does here.
    #[must_use]
    pub(crate) fn action(&self, method: &Method) -> Option<&'static Action> {
        self.actions.iter().find(|action| action.method == *method)
    }

    /// The permission of `action` with the parts of `path` filled in.
    #[must_use]
    pub(crate) fn permission(&self, action: &Action, path: &str) -> Vec<String> {
        let part = |name: &str| {
            let mut parts = self.pattern.split('/').zip(path.split('/'));
            parts.find(|(pattern, _)| *pattern == name).map(|(_, part)| decoded(part).into_owned())
        };
        let fill = |word: &str| {
            if word.starts_with('{') { part(word).unwrap_or_default() } else { word.to_owned() }
        };
        action.permission.split("->").map(fill).collect()
    }
}

/// A path segment without its percent encoding; what does not decode stays as it is.
#[must_use]
pub(crate) fn decoded(segment: &str) -> Cow<'_, str> {
    percent_decode_str(segment).decode_utf8().unwrap_or(Cow::Borrowed(segment))
}

/// What is left when a path is decoded until nothing in it is encoded any more.
#[must_use]
fn bare(path: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(path.len());
    for byte in path.bytes() {
        bytes.push(byte);
        // A byte that comes of an escape may complete another one.
        while let Some((rest, &[first, high, low])) = bytes.split_last_chunk() {
            let (kept, Some(byte)) = (rest.len(), escaped(first, &[high, low])) else { break };
            bytes.truncate(kept);
            bytes.push(byte);
        }
    }
    bytes
}

/// The byte that an escape stands for, if it is one.
fn escaped(first: u8, digits: &[u8]) -> Option<u8> {
    // A sign would be taken for part of the number.
    let is_escape = first == b'%' && digits.iter().all(u8::is_ascii_hexdigit);
    std::str::from_utf8(digits).ok().filter(|_| is_escape).and_then(|text| u8::from_str_radix(text, 16).ok())
}
