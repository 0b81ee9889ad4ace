//! Every route of the event service.

mod dead_letters;
mod elements;
mod emitted;
mod events_v1;
mod feed;
mod notifications;
mod pieces;
mod query_v1;
mod v2;

use actix_web::web::ServiceConfig;

/// Routes in the order of the contracts: v1, input, v2, internal.
pub fn routes(cfg: &mut ServiceConfig) {
    events_v1::routes(cfg);
    notifications::routes(cfg);
    v2::routes(cfg);
    feed::routes(cfg);
    emitted::routes(cfg);
    dead_letters::routes(cfg);
}
