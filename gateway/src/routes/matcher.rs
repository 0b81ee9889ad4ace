//! The table as a tree of path segments, built once for each listener.
//!
//! Literal segments win over `{parts}`, those over `{*rest}`. Segments are compared as they came; one with percent
//! encoding is decoded first, as the original routers do. The path itself is never changed.

use super::table::{AREAS, Area, CLAIMS, PAGES, pinned};
use super::{Action, Api, Owner, Route, Slash, bare, decoded};
use hyper::Method;
use hyper::header::HeaderValue;
use shared::server::OPERATIONS;

/// The routes of one listener.
#[derive(Debug)]
pub(crate) struct Router {
    routes: Vec<Route>,
    nodes: Vec<Node>,
    /// First segments and the API that owns the unknown paths below them; the longest counts.
    claims: Vec<(String, Api)>,
    fallback: Api,
}

#[derive(Debug, Default)]
struct Node {
    literals: Vec<(String, usize)>,
    part: Option<usize>,
    rest: Option<usize>,
    route: Option<usize>,
}

/// What a path is.
#[derive(Debug)]
pub(crate) enum Found<'r> {
    /// A route of the table.
    Route(&'r Route),
    /// Almost a route: the client is sent to this path.
    Elsewhere(&'r Route, String),
    /// Nobody's; an error about it wears this API's shape.
    Unknown(Api),
}

impl Router {
    /// The main listener's routes: all of them.
    #[must_use]
    pub(crate) fn main() -> Self {
        let mut router = Self::empty(Api::Gateway);
        AREAS.iter().for_each(|area| router.add_area(area));
        for (path, page, actions) in PAGES {
            router.add(Api::Gateway, Owner::Page(*page), Slash::Unknown, (*path).to_owned(), actions);
        }
        router.claims.extend(CLAIMS.iter().map(|(prefix, api)| ((*prefix).to_owned(), *api)));
        router
    }

    /// A compat listener's routes: those of `api` in all its forms, and what only its own listener has.
    #[must_use]
    pub(crate) fn pinned_to(api: Api) -> Self {
        let mut router = Self::empty(api);
        AREAS
            .iter()
            .filter(|area| area.api.listener() == api)
            .chain(pinned(api))
            .for_each(|area| router.add_area(area));
        router.claims.clear();
        router
    }

    fn empty(fallback: Api) -> Self {
        Self { routes: Vec::new(), nodes: vec![Node::default()], claims: Vec::new(), fallback }
    }

    /// Every route, by index.
    #[cfg(test)]
    pub(crate) fn routes(&self) -> &[Route] {
        &self.routes
    }

    fn add_area(&mut self, area: &Area) {
        for prefix in area.prefixes {
            for (row, actions) in area.rows {
                self.add(area.api, area.owner, area.slash, format!("{prefix}{row}"), actions);
            }
            self.claims.push(((*prefix).to_owned(), area.api));
        }
    }

    fn add(&mut self, api: Api, owner: Owner, slash: Slash, pattern: String, actions: &'static [Action]) {
        let index = self.routes.len();
        let mut at = 0;
        let mut is_rest = false;
        for segment in pattern.split('/').skip(1) {
            is_rest = segment.starts_with("{*");
            if !is_rest {
                at = self.child(at, segment);
            }
        }
        if let Some(node) = self.nodes.get_mut(at) {
            let place = if is_rest { &mut node.rest } else { &mut node.route };
            place.get_or_insert(index);
        }
        self.routes.push(Route { index, allow: allow(api, actions), pattern, api, owner, actions, slash });
    }

    /// The node below `at` for `segment`, made when it is missing.
    fn child(&mut self, at: usize, segment: &str) -> usize {
        let fresh = self.nodes.len();
        let Some(node) = self.nodes.get_mut(at) else { return at };
        let child = if segment.starts_with('{') {
            *node.part.get_or_insert(fresh)
        } else if let Some((_, child)) = node.literals.iter().find(|(literal, _)| literal == segment) {
            *child
        } else {
            node.literals.push((segment.to_owned(), fresh));
            fresh
        };
        if child == fresh {
            self.nodes.push(Node::default());
        }
        child
    }

    /// Whose `path` is; `method` only decides whether a misspelt path is worth a redirect.
    #[must_use]
    pub(crate) fn find(&self, path: &str, method: &Method) -> Found<'_> {
        if !is_plain(path) {
            return Found::Unknown(self.owner(path));
        }
        let exact = path.strip_prefix('/').and_then(|segments| self.walk(0, Some(segments), Spelling::Exact));
        if let Some(route) = exact {
            return self.judge(route, path);
        }
        let (trimmed, has_slash) = match path.strip_suffix('/') {
            Some(trimmed) if !trimmed.is_empty() => (trimmed, true),
            _ => (path, false),
        };
        let segments = trimmed.strip_prefix('/');
        if has_slash
            && let Some(route) = segments.and_then(|segments| self.walk(0, Some(segments), Spelling::Exact))
        {
            match route.slash {
                Slash::Same => return self.judge(route, path),
                Slash::Redirect if route.action(method).is_some() => {
                    return Found::Elsewhere(route, trimmed.to_owned());
                }
                Slash::Redirect | Slash::Unknown => return Found::Unknown(self.owner(path)),
            }
        }
        match segments.and_then(|segments| self.walk(0, Some(segments), Spelling::AnyCase)) {
            Some(route) if route.slash == Slash::Redirect && route.action(method).is_some() => {
                Found::Elsewhere(route, respelt(&route.pattern, trimmed))
            }
            _ => Found::Unknown(self.owner(path)),
        }
    }

    /// Panko can never address a segment that holds a slash, and nobody what a service has for operators or for other
    /// services.
    fn judge<'r>(&'r self, route: &'r Route, path: &str) -> Found<'r> {
        let has_slash_inside = || path.contains("%2F") || path.contains("%2f");
        if route.api == Api::Panko && has_slash_inside() {
            return Found::Unknown(Api::Panko);
        }
        if route.pattern.starts_with("/{*") && is_internal(path) {
            return Found::Unknown(route.api);
        }
        Found::Route(route)
    }

    fn walk(&self, at: usize, rest: Option<&str>, spelling: Spelling) -> Option<&Route> {
        let node = self.nodes.get(at)?;
        let Some(rest) = rest else {
            return self.routes.get(node.route?);
        };
        let (segment, below) = match rest.split_once('/') {
            Some((segment, below)) => (segment, Some(below)),
            None => (rest, None),
        };
        let literal = node.literals.iter().find(|(literal, _)| spelling.matches(segment, literal));
        let by_literal = literal.and_then(|(_, child)| self.walk(*child, below, spelling));
        // Snap's router takes an empty part in the middle of a path; everywhere else it is no part.
        let by_part = || {
            let found = self.walk(node.part?, below, spelling)?;
            let is_part = !segment.is_empty() || (below.is_some() && found.api.is_snap());
            is_part.then_some(found)
        };
        by_literal.or_else(by_part).or_else(|| self.routes.get(node.rest?))
    }

    /// The API whose errors an unknown path gets.
    fn owner(&self, path: &str) -> Api {
        let claims = self.claims.iter().filter(|(prefix, _)| claims(prefix, path));
        claims.max_by_key(|(prefix, _)| prefix.len()).map_or(self.fallback, |(_, api)| *api)
    }
}

/// The one literal that is known in any letter case, as `StackTach` knows it.
const COUNT: &str = "count";

/// How literal segments are compared.
#[derive(Clone, Copy)]
enum Spelling {
    Exact,
    AnyCase,
}

impl Spelling {
    fn matches(self, segment: &str, literal: &str) -> bool {
        match self {
            Self::Exact if literal == COUNT => decoded(segment).eq_ignore_ascii_case(literal),
            Self::Exact => segment == literal || (segment.contains('%') && decoded(segment) == literal),
            Self::AnyCase => segment.eq_ignore_ascii_case(literal),
        }
    }
}

/// Whether no segment means "here" or "above", in any spelling: a service that resolves them would be led astray.
fn is_plain(path: &str) -> bool {
    if !path.bytes().any(|byte| byte == b'.' || byte == b'%') {
        return true;
    }
    path.split('/').all(|segment| !matches!(&*decoded(segment), "." | ".."))
}

/// Where services answer each other.
const INTERNAL: &str = "/internal";

/// Whether any segment is one that a service keeps from clients, whatever that service decodes or resolves.
fn is_internal(path: &str) -> bool {
    let path = bare(path);
    let mut segments = path.split(|byte| b"/\\;?#".contains(byte));
    let kept = OPERATIONS.iter().chain([&INTERNAL]).filter_map(|own| own.strip_prefix('/'));
    segments.any(|segment| kept.clone().any(|own| segment.eq_ignore_ascii_case(own.as_bytes())))
}

fn claims(prefix: &str, path: &str) -> bool {
    let mut segments = path.split('/');
    prefix.split('/').all(|own| segments.next().is_some_and(|segment| own.starts_with('{') || own == segment))
}

/// `path` with the literal segments as `pattern` spells them.
fn respelt(pattern: &str, path: &str) -> String {
    let pairs = pattern.split('/').zip(path.split('/'));
    let spelt = pairs.map(|(own, given)| if own.starts_with('{') { given } else { own });
    spelt.collect::<Vec<_>>().join("/")
}

/// The value of `Allow`; `StackTach` names OPTIONS, which it answers everywhere.
fn allow(api: Api, actions: &[Action]) -> HeaderValue {
    let own = actions.iter().map(|action| action.method.as_str());
    let names: Vec<&str> = own.chain((api == Api::StackTach).then_some("OPTIONS")).collect();
    HeaderValue::from_str(&names.join(", ")).unwrap_or_else(|_odd| HeaderValue::from_static("GET"))
}
