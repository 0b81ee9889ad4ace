//! The one route table: every public path of the product, whose it is, and what each method does.
//!
//! The paths and methods come from the contracts of the APIs. A path that is not here is refused at the gateway
//! and never forwarded; `/internal/…` of a service is therefore out of reach, except where a row below says so.

use super::Access::{Admin, Login, Public};
use super::Api::{Annotate, Fifo, Gateway, Grafana, Panko, SnapV1, SnapV2, StackTach};
use super::Class::{Ingest, Socket, Stream, Upload};
use super::Owner::{Page, Rewritten, Service};
use super::Service::{Annotate as Annotations, Dtrace, Events, Streams, Tasks, Tribe};
use super::Slash::{Redirect, Same, Unknown};
use super::{Action, Api, Owner, Page as Pages, Slash};
use crate::model::Kind::{Client, Role, User};
use hyper::Method;

/// Paths of one kind of thing, below one or more equal prefixes.
pub(crate) struct Area {
    /// Whose error bodies it uses; also for unknown paths below its prefixes.
    pub(crate) api: Api,
    /// Who answers.
    pub(crate) owner: Owner,
    /// What a `/` at the end means.
    pub(crate) slash: Slash,
    /// The prefixes under which the rows appear.
    pub(crate) prefixes: &'static [&'static str],
    /// The rest of each path, and its methods.
    pub(crate) rows: &'static [(&'static str, &'static [Action])],
}

const fn get(permission: &'static str) -> Action {
    Action::new(Method::GET, permission)
}
const fn head(permission: &'static str) -> Action {
    Action::new(Method::HEAD, permission)
}
const fn post(permission: &'static str) -> Action {
    Action::new(Method::POST, permission)
}
const fn put(permission: &'static str) -> Action {
    Action::new(Method::PUT, permission)
}
const fn patch(permission: &'static str) -> Action {
    Action::new(Method::PATCH, permission)
}
const fn delete(permission: &'static str) -> Action {
    Action::new(Method::DELETE, permission)
}
/// The service answers OPTIONS itself.
const fn options() -> Action {
    Action::new(Method::OPTIONS, "").access(Public)
}

/// Areas of the main listener. A compat listener has those of its API, and [`pinned`].
pub(crate) const AREAS: &[Area] = &[
    Area {
        api: StackTach,
        owner: Service(Streams),
        slash: Same,
        prefixes: &["/v1/streams"],
        rows: &[
            ("", STREAM_LIST),
            ("/count", STREAM_LIST),
            ("/match", &[post("cloud->streams->match")]),
            ("/tail", &[get("cloud->streams->list").class(Stream)]),
            ("/debug", &[get("cloud->streams->debug")]),
            ("/reload", &[post("").access(Admin)]),
            (
                "/{id}",
                &[
                    get("streams->{id}->get"),
                    head("streams->{id}->get"),
                    put("streams->{id}->edit"),
                    delete("streams->{id}->delete"),
                ],
            ),
            ("/{id}/history", &[get("streams->{id}->get"), head("streams->{id}->get")]),
        ],
    },
    Area {
        api: StackTach,
        owner: Service(Events),
        slash: Same,
        prefixes: &["/v1/events"],
        rows: &[
            ("", EVENT_LIST),
            ("/count", EVENT_LIST),
            ("/{message_id}", &[get("events->{message_id}->get"), head("events->{message_id}->get")]),
        ],
    },
    Area {
        api: StackTach,
        owner: Service(Events),
        slash: Same,
        prefixes: &["/v1/notifications"],
        rows: &[("", &[post("cloud->events->create").class(Ingest)])],
    },
    Area {
        api: Panko,
        owner: Service(Events),
        slash: Same,
        prefixes: &["/v2/events"],
        rows: &[
            ("", &[get("cloud->events->list"), post("cloud->events->create").class(Ingest)]),
            ("/{message_id}", &[get("events->{message_id}->get")]),
        ],
    },
    Area {
        api: Panko,
        owner: Service(Events),
        slash: Same,
        prefixes: &["/v2/event_types"],
        rows: &[
            ("", &[get("cloud->event_types->list")]),
            ("/{event_type}", &[get("event_types->{event_type}->get")]),
            ("/{event_type}/traits", &[get("event_types->{event_type}->get")]),
            ("/{event_type}/traits/{trait_name}", &[get("event_types->{event_type}->get")]),
        ],
    },
    Area {
        api: Panko,
        owner: Service(Events),
        slash: Same,
        prefixes: &["/v2/capabilities"],
        rows: &[("", &[get("").access(Public)])],
    },
    Area {
        api: SnapV1,
        owner: Service(Tasks),
        slash: Redirect,
        prefixes: &["/v1/plugins"],
        rows: PLUGIN_ROWS_V1,
    },
    Area {
        api: SnapV1,
        owner: Service(Tasks),
        slash: Same,
        prefixes: &["/v1/metrics"],
        rows: &[("", &[get("cloud->metrics->list")]), ("/{*namespace}", &[get("cloud->metrics->list")])],
    },
    Area {
        api: SnapV1,
        owner: Service(Tasks),
        slash: Redirect,
        prefixes: &["/v1/tasks"],
        rows: &[
            ("", &[get("cloud->tasks->list"), post("cloud->tasks->create")]),
            ("/{id}", &[get("tasks->{id}->get"), delete("tasks->{id}->delete")]),
            ("/{id}/watch", &[get("tasks->{id}->get").class(Stream)]),
            ("/{id}/start", &[put("tasks->{id}->edit")]),
            ("/{id}/stop", &[put("tasks->{id}->edit")]),
            ("/{id}/enable", &[put("tasks->{id}->edit")]),
        ],
    },
    Area {
        api: SnapV1,
        owner: Service(Tribe),
        slash: Redirect,
        prefixes: &["/v1/tribe"],
        rows: &[
            ("/agreements", &[get("cloud->agreements->list"), post("cloud->agreements->create")]),
            ("/agreements/{name}", &[get("agreements->{name}->get"), delete("agreements->{name}->delete")]),
            ("/agreements/{name}/join", &[put("agreements->{name}->edit")]),
            ("/agreements/{name}/leave", &[delete("agreements->{name}->edit")]),
            ("/members", &[get("cloud->members->list")]),
            ("/member/{name}", &[get("members->{name}->get")]),
        ],
    },
    Area {
        api: SnapV2,
        owner: Service(Tasks),
        slash: Redirect,
        prefixes: &["/v2/plugins"],
        rows: PLUGIN_ROWS_V2,
    },
    Area {
        api: SnapV2,
        owner: Service(Tasks),
        slash: Redirect,
        prefixes: &["/v2/metrics"],
        rows: &[("", &[get("cloud->metrics->list")])],
    },
    Area {
        api: SnapV2,
        owner: Service(Tasks),
        slash: Redirect,
        prefixes: &["/v2/tasks"],
        rows: &[
            ("", &[get("cloud->tasks->list"), post("cloud->tasks->create")]),
            ("/{id}", &[get("tasks->{id}->get"), put("tasks->{id}->edit"), delete("tasks->{id}->delete")]),
            ("/{id}/watch", &[get("tasks->{id}->get").class(Stream)]),
        ],
    },
    Area {
        api: Fifo,
        owner: Service(Dtrace),
        slash: Same,
        prefixes: &["/dtrace", "/api/{version}/dtrace", "/v1/dtrace"],
        rows: &[
            (
                "",
                &[
                    get("cloud->dtrace->list"),
                    head("cloud->dtrace->list"),
                    post("cloud->dtrace->create"),
                    options(),
                ],
            ),
            (
                "/{uuid}",
                &[
                    get("dtrace->{uuid}->get"),
                    head("dtrace->{uuid}->get"),
                    put("dtrace->{uuid}->edit"),
                    delete("dtrace->{uuid}->delete"),
                    options(),
                ],
            ),
            (
                "/{uuid}/metadata",
                &[
                    get("dtrace->{uuid}->get"),
                    head("dtrace->{uuid}->get"),
                    put("dtrace->{uuid}->edit"),
                    options(),
                ],
            ),
            (
                "/{uuid}/metadata/{*path}",
                &[
                    get("dtrace->{uuid}->get"),
                    head("dtrace->{uuid}->get"),
                    put("dtrace->{uuid}->edit"),
                    delete("dtrace->{uuid}->edit"),
                    options(),
                ],
            ),
            (
                "/{uuid}/stream",
                &[get("dtrace->{uuid}->stream").class(Socket), head("dtrace->{uuid}->stream"), options()],
            ),
            ("/catalogue", &[get("cloud->dtrace->list"), head("cloud->dtrace->list"), options()]),
            (
                "/{uuid}/runs",
                &[
                    get("dtrace->{uuid}->get"),
                    head("dtrace->{uuid}->get"),
                    post("dtrace->{uuid}->stream").class(Stream),
                    options(),
                ],
            ),
            (
                "/{uuid}/runs/{run}",
                &[
                    get("dtrace->{uuid}->get"),
                    head("dtrace->{uuid}->get"),
                    delete("dtrace->{uuid}->edit"),
                    options(),
                ],
            ),
            (
                "/{uuid}/runs/{run}/events",
                &[get("dtrace->{uuid}->get").class(Stream), head("dtrace->{uuid}->get"), options()],
            ),
        ],
    },
    Area {
        api: Annotate,
        owner: Service(Annotations),
        slash: Unknown,
        prefixes: &["/annotation", "/api/annotation", "/v1/annotation"],
        rows: &[
            ("", &[post("cloud->annotations->create"), put("cloud->annotations->create"), options()]),
            ("/query", &[get("cloud->annotations->list"), options()]),
            ("/table", &[get("cloud->annotations->list"), options()]),
            ("/stats", &[get("cloud->annotations->list"), options()]),
            ("/changes", &[get("cloud->annotations->list").class(Stream), options()]),
            ("/values/{field}", &[get("cloud->annotations->list"), options()]),
            (
                "/{id}",
                &[
                    get("annotations->{id}->get"),
                    put("annotations->{id}->edit"),
                    patch("annotations->{id}->edit"),
                    delete("annotations->{id}->delete"),
                    options(),
                ],
            ),
            ("/{id}/history", &[get("annotations->{id}->get"), options()]),
            ("/{id}/restore", &[post("annotations->{id}->edit"), options()]),
        ],
    },
    Area {
        api: Annotate,
        owner: Service(Annotations),
        slash: Unknown,
        prefixes: &["/api/annotate"],
        rows: &[("", &[get("cloud->annotations->list"), options()])],
    },
    // The page holds no annotation: it asks for them as its user.
    Area {
        api: Annotate,
        owner: Service(Annotations),
        slash: Same,
        prefixes: &["/annotate"],
        rows: &[("", &[get("").access(Public)]), ("/{*page}", &[get("").access(Public)])],
    },
    Area {
        api: Grafana,
        owner: Service(Annotations),
        slash: Unknown,
        prefixes: &["/api/annotations"],
        rows: &[
            ("", &[get("cloud->annotations->list"), post("cloud->annotations->create"), options()]),
            ("/graphite", &[post("cloud->annotations->create"), options()]),
            // The number is Grafana's: the service asks for the permission of the annotation behind it.
            (
                "/{number}",
                &[
                    get("").access(Login),
                    put("").access(Login),
                    patch("").access(Login),
                    delete("").access(Login),
                    options(),
                ],
            ),
        ],
    },
    Area {
        api: Fifo,
        owner: Page(Pages::Holders(User)),
        slash: Same,
        prefixes: &["/api/{version}/users", "/v1/users"],
        rows: &[
            ("", &[get("cloud->users->list"), head("cloud->users->list"), post("cloud->users->create")]),
            (
                "/{user}",
                &[
                    get("users->{user}->get"),
                    head("users->{user}->get"),
                    put("users->{user}->passwd"),
                    delete("users->{user}->delete"),
                ],
            ),
            ("/{user}/permissions", &[get("users->{user}->get"), head("users->{user}->get")]),
            (
                "/{user}/permissions/{*permission}",
                &[put("users->{user}->grant"), delete("users->{user}->revoke")],
            ),
            ("/{user}/roles", &[get("users->{user}->get"), head("users->{user}->get")]),
            ("/{user}/roles/{role}", &[put("users->{user}->join"), delete("users->{user}->leave")]),
            ("/{user}/logins", &[delete("users->{user}->passwd")]),
        ],
    },
    Area {
        api: Fifo,
        owner: Page(Pages::Holders(Client)),
        slash: Same,
        prefixes: &["/api/{version}/clients", "/v1/clients"],
        rows: &[
            (
                "",
                &[get("cloud->clients->list"), head("cloud->clients->list"), post("cloud->clients->create")],
            ),
            (
                "/{client}",
                &[
                    get("clients->{client}->get"),
                    head("clients->{client}->get"),
                    put("clients->{client}->edit"),
                    delete("clients->{client}->delete"),
                ],
            ),
            ("/{client}/permissions", &[get("clients->{client}->get"), head("clients->{client}->get")]),
            (
                "/{client}/permissions/{*permission}",
                &[put("clients->{client}->grant"), delete("clients->{client}->revoke")],
            ),
            ("/{client}/roles", &[get("clients->{client}->get"), head("clients->{client}->get")]),
            ("/{client}/roles/{role}", &[put("clients->{client}->join"), delete("clients->{client}->leave")]),
            (
                "/{client}/uris",
                &[
                    get("clients->{client}->get"),
                    head("clients->{client}->get"),
                    post("clients->{client}->edit"),
                ],
            ),
            ("/{client}/uris/{uri}", &[delete("clients->{client}->edit")]),
            ("/{client}/logins", &[delete("clients->{client}->edit")]),
        ],
    },
    Area {
        api: Fifo,
        owner: Page(Pages::Holders(Role)),
        slash: Same,
        prefixes: &["/api/{version}/roles", "/v1/roles"],
        rows: &[
            ("", &[get("cloud->roles->list"), head("cloud->roles->list"), post("cloud->roles->create")]),
            (
                "/{role}",
                &[get("roles->{role}->get"), head("roles->{role}->get"), delete("roles->{role}->delete")],
            ),
            ("/{role}/permissions", &[get("roles->{role}->get"), head("roles->{role}->get")]),
            (
                "/{role}/permissions/{*permission}",
                &[put("roles->{role}->grant"), delete("roles->{role}->revoke")],
            ),
        ],
    },
    Area {
        api: Fifo,
        owner: Page(Pages::OAuthToken),
        slash: Same,
        prefixes: OAUTH,
        rows: &[("/token", &[post("").access(Public)])],
    },
    Area {
        api: Fifo,
        owner: Page(Pages::OAuthRevoke),
        slash: Same,
        prefixes: OAUTH,
        rows: &[("/revoke", &[post("").access(Public)])],
    },
    Area {
        api: Fifo,
        owner: Page(Pages::OAuthAuthorize),
        slash: Same,
        prefixes: OAUTH,
        rows: &[("/auth", &[get("").access(Public), post("").access(Public)])],
    },
    Area {
        api: Fifo,
        owner: Page(Pages::Sessions),
        slash: Same,
        prefixes: &["/api/{version}/sessions", "/v1/sessions"],
        rows: &[
            ("", &[post("").access(Public)]),
            ("/one_time_token", &[get("").access(Login)]),
            // No GET: a client that asks with a stored token would take 200 for a login (contract `dtrace`, section 5).
            ("/{token}", &[delete("").access(Public)]),
        ],
    },
    Area {
        api: Gateway,
        owner: Rewritten(Events, "/admin/events/dead-letters", "/internal/dead-letters"),
        slash: Unknown,
        prefixes: &["/admin/events/dead-letters"],
        rows: &[
            ("", &[get("").access(Admin), delete("").access(Admin)]),
            ("/replay", &[post("").access(Admin)]),
            ("/{id}", &[get("").access(Admin), delete("").access(Admin)]),
            ("/{id}/replay", &[post("").access(Admin)]),
        ],
    },
];

/// Where OAuth 2 is.
const OAUTH: &[&str] = &["/api/{version}/oauth", "/oauth", "/oauth2", "/v1/oauth"];

/// What only Panko's own listener has.
const PANKO_ROOT: &[Area] = &[Area {
    api: Panko,
    owner: Service(Events),
    slash: Unknown,
    prefixes: &[""],
    rows: &[
        ("/", &[get("").access(Public), head("").access(Public)]),
        ("/healthcheck", &[get("").access(Public), head("").access(Public)]),
    ],
}];

/// What only annotate's own listener has: the Grafana data source, and the page for every other GET.
const ANNOTATE_ROOT: &[Area] = &[Area {
    api: Annotate,
    owner: Service(Annotations),
    slash: Same,
    prefixes: &[""],
    rows: &[
        ("/annotations", &[post("cloud->annotations->list"), get("").access(Public), options()]),
        ("/search", &[post("cloud->annotations->list"), get("").access(Public), options()]),
        ("/tag-keys", &[post("cloud->annotations->list"), get("").access(Public), options()]),
        ("/tag-values", &[post("cloud->annotations->list"), get("").access(Public), options()]),
        ("/query", &[post("cloud->annotations->list"), get("").access(Public), options()]),
        ("/events/get_data", &[get("cloud->annotations->list"), options()]),
        ("/{*page}", &[get("").access(Public)]),
    ],
}];

/// The areas that `api`'s compat listener has besides its own of [`AREAS`].
#[must_use]
pub(crate) fn pinned(api: Api) -> &'static [Area] {
    match api {
        Panko => PANKO_ROOT,
        Annotate => ANNOTATE_ROOT,
        StackTach | SnapV1 | SnapV2 | Fifo | Grafana | Gateway => &[],
    }
}

/// A prefix whose unknown paths belong to an API although no area has them.
pub(crate) const CLAIMS: &[(&str, Api)] = &[("/v2", Panko)];

/// What the gateway answers itself, on the main listener.
pub(crate) const PAGES: &[(&str, Pages, &[Action])] = &[
    ("/", Pages::Index, PUBLIC_GET),
    ("/livez", Pages::Livez, PUBLIC_GET),
    ("/readyz", Pages::Readyz, PUBLIC_GET),
    ("/version", Pages::Version, PUBLIC_GET),
    ("/metrics", Pages::Metrics, &[METRICS]),
    ("/docs", Pages::Docs, PUBLIC_GET),
    ("/docs/{*file}", Pages::Docs, PUBLIC_GET),
    ("/admin/tokens", Pages::Tokens, &[get("").access(Admin), post("").access(Admin)]),
    ("/admin/tokens/{id}", Pages::Token, &[delete("").access(Admin)]),
    ("/admin/scopes", Pages::Scopes, &[get("").access(Admin), post("").access(Admin)]),
    ("/admin/scopes/{name}", Pages::Scopes, &[delete("").access(Admin)]),
    ("/admin/audit", Pages::Audit, &[get("").access(Admin)]),
    ("/admin/audit/verify", Pages::AuditVerify, &[get("").access(Admin)]),
    // The caller is a service, which signs for itself.
    ("/internal/identity", Pages::Identity, &[post("").access(Public)]),
];

const METRICS: Action = get("cloud->gateway->metrics");

/// What it takes to see figures, wherever they are shown.
pub(crate) const FIGURES: &Action = &METRICS;

const PUBLIC_GET: &[Action] = &[get("").access(Public), head("").access(Public)];

const STREAM_LIST: &[Action] = &[get("cloud->streams->list"), head("cloud->streams->list")];

const EVENT_LIST: &[Action] = &[get("cloud->events->list"), head("cloud->events->list")];

const PLUGIN: &[Action] = &[get("plugins->{name}->get"), delete("plugins->{name}->delete")];

const PLUGIN_CONFIG: &[Action] =
    &[get("plugins->{name}->get"), put("plugins->{name}->edit"), delete("plugins->{name}->edit")];

const PLUGIN_LIST: &[Action] = &[get("cloud->plugins->list"), post("cloud->plugins->create").class(Upload)];

const PLUGIN_ROWS_V1: &[(&str, &[Action])] = &[
    ("", PLUGIN_LIST),
    ("/{type}", &[get("cloud->plugins->list")]),
    ("/{type}/{name}", &[get("cloud->plugins->list")]),
    ("/{type}/{name}/{version}", PLUGIN),
    ("/{type}/{name}/{version}/config", PLUGIN_CONFIG),
];

const PLUGIN_ROWS_V2: &[(&str, &[Action])] = &[
    ("", PLUGIN_LIST),
    ("/{type}/{name}/{version}", PLUGIN),
    ("/{type}/{name}/{version}/config", PLUGIN_CONFIG),
];
