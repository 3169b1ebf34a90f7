//! How an answer is written: JSON, or a problem as RFC 9457 has it. The one place that picks a status.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use dvp_model::error::{Kind, Reason};
use dvp_model::wire::api::{Errors, Problem};

/// The HTTP status of an answer that lists `errors`: that of the first.
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

/// Why a request is refused, with the status that says so best.
pub(super) struct Refusal {
    pub status: StatusCode,
    pub errors: Errors,
}

impl Refusal {
    /// A request that can't be read.
    pub(super) fn request(text: impl AsRef<str>) -> Self {
        Errors::from(Reason::spec(text)).into()
    }

    /// A refusal whose status says more than its kind does.
    pub(super) fn with(status: StatusCode, reason: Reason) -> Self {
        Self { status, errors: reason.into() }
    }
}

impl From<Errors> for Refusal {
    fn from(errors: Errors) -> Self {
        Self { status: status(&errors), errors }
    }
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Errors::from(reason).into()
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let problem = Problem {
            about: "about:blank".to_owned(),
            title: self.status.canonical_reason().unwrap_or_default().to_owned(),
            status: self.status.as_u16(),
            detail: self.errors.to_string(),
            errors: self.errors,
        };
        written(self.status, "application/problem+json", &problem)
    }
}

/// An answer in JSON.
pub(super) fn json<T: serde::Serialize>(body: &T) -> Response {
    written(StatusCode::OK, "application/json", body)
}

fn written<T: serde::Serialize>(status: StatusCode, media: &'static str, body: &T) -> Response {
    match serde_json::to_vec(body) {
        Ok(json) => {
            let media = HeaderValue::from_static(media);
            (status, [(header::CONTENT_TYPE, media)], Body::from(json)).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "an answer could not be written as JSON");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
