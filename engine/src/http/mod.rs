//! The API's router, and how any call becomes a route: one struct a call, read, handled, answered the
//! same way. Knows nothing of sockets, nor of what a call does.

mod answer;
mod checks;
mod docs;
mod download;
mod events;
mod gate;
mod metrics;
mod openapi;
mod routes;
mod serve;
mod upload;
mod validate;

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse};
use axum::routing::{MethodFilter, get, on};
use dvp_model::JobId;
use dvp_model::error::Reason;
use dvp_model::wire::api::{Call, Errors, Method};
use futures::FutureExt;

use answer::Refusal;
pub use answer::status;
pub(crate) use gate::guarded;
pub use gate::{token, token_file};
pub use routes::{App, Standing, router};
pub use serve::{Activity, serve};

/// The largest body that is read, in bytes.
pub const BODY_LIMIT: usize = 10 << 20;

/// Makes routes out of calls and remembers them for the API's description.
pub(crate) struct Routes {
    router: Router<Arc<App>>,
    description: openapi::Description,
}

impl Routes {
    fn new() -> Self {
        Self { router: Router::new(), description: openapi::Description::new() }
    }

    /// Adds the route of `C`, handled by `handler`.
    fn call<C, F, Fut>(mut self, handler: F) -> Self
    where
        C: Call,
        F: Fn(Arc<App>, C) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<C::Reply, Errors>> + Send + 'static,
    {
        let filter = match C::METHOD {
            Method::Get => MethodFilter::GET,
            Method::Post => MethodFilter::POST,
        };
        let route = move |State(app): State<Arc<App>>, request: Request| {
            let handler = handler.clone();
            async move {
                let handled = async {
                    let call = read::<C>(request).await?;
                    handler(app, call).await.map_err(Refusal::from)
                };
                match AssertUnwindSafe(handled).catch_unwind().await {
                    Ok(Ok(reply)) => answer::json(&reply),
                    Ok(Err(refusal)) => refusal.into_response(),
                    Err(_) => {
                        let text = "this call met a bug of DVP; the engine's log has its trace";
                        Refusal::from(Reason::bug(text)).into_response()
                    }
                }
            }
        };
        self.router = self.router.route(C::PATH, on(filter, route));
        self.description.call::<C>();
        self
    }

    /// The finished router: the calls, what is no call, and the description of all of it.
    fn finish(mut self, app: Arc<App>) -> Router {
        checks::describe(&mut self.description);
        events::describe(&mut self.description);
        metrics::describe(&mut self.description);
        download::describe(&mut self.description);
        upload::describe(&mut self.description);
        let description = self.description.finish();
        let page = Html(docs::page(&description));
        checks::routes(self.router)
            .route("/events", get(events::events))
            .route("/jobs/{id}/output", get(download::output))
            .route("/jobs/{id}/manifest", get(download::manifest))
            .route("/upload", upload::form())
            .route("/uploads/{id}", upload::part())
            .route("/metrics", get(metrics::metrics))
            .route("/openapi.json", get(async move || answer::json(&description)))
            .route("/docs", get(async move || page.clone()))
            .fallback(|request: Request| async move {
                let text = format!("there is no {} {}", request.method(), request.uri().path());
                Refusal::from(Reason::not_found(text))
            })
            .method_not_allowed_fallback(|request: Request| async move {
                let (method, path) = (request.method(), request.uri().path());
                let text = format!("{path} takes no {method}; see /openapi.json");
                Refusal::with(StatusCode::METHOD_NOT_ALLOWED, Reason::spec(text))
            })
            .with_state(app)
    }
}

/// Reads a call out of its path and its query or body.
async fn read<C: Call>(request: Request) -> Result<C, Refusal> {
    let (mut parts, body) = request.into_parts();
    let id = if C::PATH.contains("{id}") {
        use axum::RequestPartsExt;
        let Path(id) = parts
            .extract::<Path<String>>()
            .await
            .map_err(|error| Refusal::request(error.to_string()))?;
        Some(job_id(&id)?.to_string())
    } else {
        None
    };
    match C::METHOD {
        Method::Get => from_query(parts.uri.query().unwrap_or(""), id),
        Method::Post => {
            let body = to_bytes(body, BODY_LIMIT).await.map_err(|_| {
                let text = format!("the body is above {BODY_LIMIT} bytes");
                Refusal::with(StatusCode::PAYLOAD_TOO_LARGE, Reason::spec(text))
            })?;
            from_body(&body, id)
        }
    }
}

/// The job that a path names.
fn job_id(text: &str) -> Result<JobId, Refusal> {
    text.parse().map_err(|_| Refusal::request(format!("'{text}' is no job id")))
}

fn from_query<C: Call>(query: &str, id: Option<String>) -> Result<C, Refusal> {
    // The path names the job; a query that names it too must mean the same one.
    let mut pairs: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty()).collect();
    let named = id.map(|id| format!("id={id}"));
    if let Some(named) = &named {
        if pairs.iter().any(|pair| pair.starts_with("id=") && pair != named) {
            return Err(Refusal::request("the path and the query name two jobs"));
        }
        pairs.retain(|pair| pair != named);
        pairs.push(named);
    }
    let query = pairs.join("&");
    let uri =
        format!("/?{query}").parse().map_err(|_| Refusal::request("the query is no query"))?;
    let Query(call) = Query::<C>::try_from_uri(&uri)
        .map_err(|error| Refusal::request(format!("{} {}: {error}", "GET", C::PATH)))?;
    Ok(call)
}

fn from_body<C: Call>(body: &[u8], id: Option<String>) -> Result<C, Refusal> {
    let wrong = |error: serde_json::Error| {
        Refusal::request(format!("POST {}: the body is not what it takes: {error}", C::PATH))
    };
    let Some(id) = id else {
        let body = if body.is_empty() { b"{}" } else { body };
        return serde_json::from_slice(body).map_err(wrong);
    };
    let mut fields = serde_json::Map::new();
    if !body.is_empty() {
        fields = serde_json::from_slice(body).map_err(wrong)?;
    }
    let id = serde_json::Value::String(id);
    if fields.insert("id".to_owned(), id.clone()).is_some_and(|other| other != id) {
        return Err(Refusal::request("the path and the body name two jobs"));
    }
    serde_json::from_value(fields.into()).map_err(wrong)
}
