//! How S3 stands: whether it answers, since when not, and how far its clock is from ours, which decides
//! whether what we sign is believed.

use std::sync::Arc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use aws_sdk_s3::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::{BoxError, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};
use dvp_model::error::Reason;
use dvp_model::time::Millis;
use dvp_model::wire::api::Service;

use super::s3::Settings;

/// A failed request.
pub(super) type Failed<E> = SdkError<E, aws_sdk_s3::config::http::HttpResponse>;

/// Seconds between the clocks that are worth a word.
const NOTABLE: i64 = 30;
/// Seconds between the clocks that are an alarm: from 900 on S3 refuses everything.
const ALARMING: i64 = 300;

/// How S3 stands, as it was last seen.
#[derive(Debug)]
pub struct Health {
    what: String,
    endpoint: String,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    asked: Option<Instant>,
    fault: Option<(Instant, Reason)>,
    /// Seconds by which our clock is ahead of S3's.
    ahead: Option<i64>,
}

impl Health {
    pub(super) fn new(settings: &Settings) -> Self {
        let Settings { endpoint, bucket, holds_objects, .. } = settings;
        let what = match holds_objects {
            true => format!("S3 at {endpoint}, bucket {bucket}"),
            false => format!("folder; films in S3 at {endpoint}"),
        };
        Self { what, endpoint: endpoint.clone(), known: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what a look at S3 brought; a fault keeps the moment when it began. Whether it is the first of it.
    pub(super) fn saw(&self, seen: Result<(), Reason>) -> bool {
        let mut known = self.known();
        let seen = seen.and_then(|()| match known.ahead {
            Some(ahead) if ahead.abs() >= ALARMING => {
                let text = format!("S3 at {}: {}", self.endpoint, clocks(ahead));
                Err(Reason::machine(text))
            }
            _ => Ok(()),
        });
        let now = Instant::now();
        known.asked = Some(now);
        let first = known.fault.is_none();
        known.fault = seen.err().map(|reason| match known.fault.take() {
            Some((since, _)) => (since, reason),
            None => (now, reason),
        });
        first && known.fault.is_some()
    }

    /// How it stands. `now` is the database's.
    pub fn service(&self, now: Millis) -> Service {
        let known = self.known();
        let ago = |then: Instant| now.plus(-(then.elapsed().as_millis() as i64));
        let mut what = self.what.clone();
        match known.ahead {
            _ if known.asked.is_none() => what.push_str(": connects"),
            Some(ahead) if ahead.abs() >= NOTABLE => what += &format!(": {}", clocks(ahead)),
            _ => {}
        }
        Service {
            name: "objects".to_owned(),
            what,
            fault: known.fault.as_ref().map(|(_, reason)| reason.clone()),
            since: known.fault.as_ref().map(|(since, _)| ago(*since)),
            at: known.asked.map_or(now, ago),
        }
    }

    /// Why a request failed, for a person. Holds no URL: those of requests are signed.
    pub(super) fn said<E: ProvideErrorMetadata>(&self, error: &Failed<E>) -> String {
        match error {
            SdkError::TimeoutError(_) => "no answer in time".to_owned(),
            SdkError::DispatchFailure(failure) => {
                let mut cause: Option<&(dyn std::error::Error + 'static)> =
                    failure.as_connector_error().map(|error| error as _);
                let mut text = "no answer".to_owned();
                // The innermost cause is the one that says something.
                while let Some(error) = cause {
                    text = error.to_string();
                    cause = error.source();
                }
                text
            }
            SdkError::ServiceError(failed) => {
                let code = failed.err().code().unwrap_or_default();
                let skewed = self.known().ahead.filter(|_| code == "RequestTimeTooSkewed");
                match (skewed, failed.err().message()) {
                    (Some(ahead), _) => clocks(ahead),
                    (None, Some(message)) => format!("{code}: {message}"),
                    // Answers to HEAD have no body.
                    (None, None) => match failed.raw().status().as_u16() {
                        403 => {
                            "access denied: are the keys right, and may they do this?".to_owned()
                        }
                        status => format!("status {status} {code}").trim_end().to_owned(),
                    },
                }
            }
            _ => "an answer that makes no sense".to_owned(),
        }
    }
}

fn clocks(ahead: i64) -> String {
    let side = if ahead > 0 { "ahead of" } else { "behind" };
    format!(
        "this machine's clock is {} s {side} S3's: set the clocks right (NTP), from 900 s on S3 refuses \
         all requests",
        ahead.abs()
    )
}

/// Reads the clock of every answer.
#[derive(Debug)]
pub(super) struct Clock(Arc<Health>);

impl Clock {
    pub(super) fn new(health: Arc<Health>) -> Self {
        Self(health)
    }
}

impl Intercept for Clock {
    fn name(&self) -> &'static str {
        "S3's clock"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date");
        let theirs = date.and_then(|date| DateTime::from_str(date, DateTimeFormat::HttpDate).ok());
        let ours = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        if let (Some(theirs), Ok(ours)) = (theirs, ours) {
            self.0.known().ahead = Some(ours.as_secs() as i64 - theirs.secs());
        }
        Ok(())
    }
}
