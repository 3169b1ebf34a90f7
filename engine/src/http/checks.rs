//! Is it alive, is it ready, does each service answer: what probes and people ask without a token.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use serde_json::json;

use super::routes::App;

/// Adds the checks to a router.
pub(super) fn routes(router: Router<Arc<App>>) -> Router<Arc<App>> {
    router
        .route("/", get(root))
        .route("/healthz", get(alive))
        .route("/readyz", get(database))
        .route("/test-db", get(database))
}

async fn root() -> Response {
    let body = json!({ "name": "DVP", "version": crate::VERSION, "api": "/openapi.json" });
    super::answer(StatusCode::OK, &body)
}

async fn alive() -> Response {
    super::answer(StatusCode::OK, &json!({ "status": "success" }))
}

/// Whether the database answers: without it no job is taken.
async fn database(State(app): State<Arc<App>>) -> Response {
    match app.engine.store().version().await {
        Ok(version) => {
            super::answer(StatusCode::OK, &json!({ "status": "success", "database": version }))
        }
        Err(error) => {
            let message = dvp_model::error::Reason::from(error).text;
            let body = json!({ "status": "error", "message": message });
            super::answer(StatusCode::SERVICE_UNAVAILABLE, &body)
        }
    }
}
