//! Every route of the annotation service.

mod annotations;
mod answer;
mod changes;
mod cors;
mod data_source;
mod grafana;
mod history;
mod page;
mod query;
mod reading;
mod route;
mod table;
mod values;
mod writing;

use actix_web::web::ServiceConfig;
use answer::json;
use route::{Kind, add};

/// Prefixes under which all annotation routes are: the stand-alone server's, Bosun's, and our version.
const PREFIXES: [&str; 3] = ["/annotation", "/api/annotation", "/v1/annotation"];

/// Routes in the order of the contract. Fixed words come before ids.
pub fn routes(cfg: &mut ServiceConfig) {
    for prefix in PREFIXES {
        query::routes(cfg, prefix);
        values::routes(cfg, prefix);
        table::routes(cfg, prefix);
        changes::routes(cfg, prefix);
        history::routes(cfg, prefix);
        annotations::routes(cfg, prefix);
    }
    // Bosun asks this to learn whether annotations are on.
    add(cfg, "/api/annotate", Kind::Own("GET"), |resource| resource.get(async || json(&true)));
    grafana::routes(cfg);
    data_source::routes(cfg);
    page::routes(cfg);
}
