//! The API's router, and how any call becomes a route: one struct a call, read, handled, answered the
//! same way. Knows nothing of sockets, nor of what a call does.

mod checks;
mod gate;
mod openapi;
mod routes;
mod serve;

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};
use dvp_model::error::{Kind, Reason};
use dvp_model::wire::api::{Call, Errors, Method};
use futures::FutureExt;

pub(crate) use gate::guarded;
pub use gate::{token, token_file};
pub use routes::{App, Standing, router};
pub use serve::{Activity, serve};

/// The largest body that is read, in bytes.
pub const BODY_LIMIT: usize = 10 << 20;

/// The HTTP status of an answer that lists `errors`: that of the first, in the one place that picks it.
pub fn status(errors: &Errors) -> StatusCode {
    match errors.errors.first().map(|reason| reason.kind) {
        Some(Kind::Spec) => StatusCode::BAD_REQUEST,
        Some(Kind::NotFound) => StatusCode::NOT_FOUND,
        Some(Kind::Input | Kind::Output) => StatusCode::UNPROCESSABLE_ENTITY,
        Some(Kind::Conflict | Kind::Job) => StatusCode::CONFLICT,
        Some(Kind::Machine) => StatusCode::SERVICE_UNAVAILABLE,
        Some(Kind::Bug) | None => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Makes routes out of calls and remembers them for the API's description.
pub(crate) struct Routes {
    router: Router<Arc<App>>,
    operations: Vec<openapi::Operation>,
}

impl Routes {
    fn new() -> Self {
        Self { router: Router::new(), operations: Vec::new() }
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
                    handler(app, call).await.map_err(Refusal::of)
                };
                match AssertUnwindSafe(handled).catch_unwind().await {
                    Ok(Ok(reply)) => answer(StatusCode::OK, &reply),
                    Ok(Err(refusal)) => answer(refusal.status, &refusal.errors),
                    Err(_) => {
                        let text = "this call met a bug of DVP; the engine's log has its trace";
                        let errors = Errors::from(Reason::bug(text));
                        answer(status(&errors), &errors)
                    }
                }
            }
        };
        self.router = self.router.route(C::PATH, on(filter, route));
        self.operations.push(openapi::Operation::of::<C>());
        self
    }

    /// The finished router, with the description of all its calls at `/openapi.json`.
    fn finish(self, app: Arc<App>) -> Router {
        let description = openapi::describe(&self.operations);
        let describe = move || {
            let description = description.clone();
            async move { answer(StatusCode::OK, &description) }
        };
        checks::routes(self.router)
            .route("/openapi.json", axum::routing::get(describe))
            .fallback(|request: Request| async move {
                let text = format!("there is no {} {}", request.method(), request.uri().path());
                let errors = Errors::from(Reason::not_found(text));
                answer(status(&errors), &errors)
            })
            .method_not_allowed_fallback(|request: Request| async move {
                let (method, path) = (request.method(), request.uri().path());
                let text = format!("{path} takes no {method}; see /openapi.json");
                answer(StatusCode::METHOD_NOT_ALLOWED, &Errors::from(Reason::spec(text)))
            })
            .with_state(app)
    }
}

struct Refusal {
    status: StatusCode,
    errors: Errors,
}

impl Refusal {
    fn of(errors: Errors) -> Self {
        Self { status: status(&errors), errors }
    }

    fn request(text: impl AsRef<str>) -> Self {
        Self::of(Reason::spec(text).into())
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
        let job = id.parse::<dvp_model::JobId>();
        Some(job.map_err(|_| Refusal::request(format!("'{id}' is no job id")))?.to_string())
    } else {
        None
    };
    match C::METHOD {
        Method::Get => from_query(parts.uri.query().unwrap_or(""), id),
        Method::Post => {
            let body = to_bytes(body, BODY_LIMIT).await.map_err(|_| Refusal {
                status: StatusCode::PAYLOAD_TOO_LARGE,
                errors: Reason::spec(format!("the body is above {BODY_LIMIT} bytes")).into(),
            })?;
            from_body(&body, id)
        }
    }
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

fn answer<T: serde::Serialize>(status: StatusCode, body: &T) -> Response {
    match serde_json::to_vec(body) {
        Ok(json) => {
            (status, [(header::CONTENT_TYPE, "application/json")], Body::from(json)).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "an answer could not be written as JSON");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
