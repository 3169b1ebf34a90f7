//! The API's client: one generic call over two ways, the router in this process or HTTP over a socket, its
//! own machine's or one of the network. Attaches anew when the engine that it spoke to is gone. Knows no call
//! by name.

mod files;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderValue, Request, header};
use dvp_model::error::Reason;
use dvp_model::path::printable;
use dvp_model::wire::api::{Call, Errors, Method};
use serde::de::DeserializeOwned;
use tower::ServiceExt;

pub use files::upload_id;

use crate::config::{Config, Remote};
use crate::host::{self, Host, Role};

/// How often one call attaches anew before it gives up.
const REATTACHES: usize = 3;

/// Speaks to an engine. Clones share the way to it, and attach anew together.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    way: RwLock<(u64, Way)>,
    attach: Option<Attach>,
    attaching: tokio::sync::Mutex<()>,
}

/// How to attach anew, and the engine that this process came to host, if it did.
struct Attach {
    config: Config,
    role: Role,
    host: Mutex<Option<Host>>,
}

/// A way to an engine.
#[derive(Clone)]
pub(crate) enum Way {
    /// Its router, in this process; calls run on the engine's runtime.
    InProcess(Router, tokio::runtime::Handle),
    /// HTTP.
    Http(Http),
}

/// An engine's address, and who may ask there.
#[derive(Clone)]
pub(crate) struct Http {
    client: reqwest::Client,
    /// What its paths begin with: `http://host:port`.
    url: String,
    /// The header that lets in, where one is needed.
    token: Option<HeaderValue>,
}

/// Why a call brought no answer.
enum Failure {
    /// It never reached an engine: it may be sent again.
    Unsent(String),
    /// It may have reached one.
    Lost(String),
    /// The engine is there, and silent.
    Silent(Duration),
    /// An answer, and not a good one.
    Answered(Errors),
}

impl Way {
    /// The way over a socket. Nothing is sent yet.
    pub(crate) fn socket(path: &Path) -> Result<Self, Reason> {
        let client = http()
            .unix_socket(path)
            .connect_timeout(Duration::from_secs(2))
            .pool_idle_timeout(Duration::from_secs(5))
            .build();
        let client = client.map_err(no_client)?;
        Ok(Way::Http(Http { client, url: "http://dvp".to_owned(), token: None }))
    }

    /// The way to an engine elsewhere. Nothing is sent yet.
    pub(crate) fn remote(remote: &Remote) -> Result<Self, Reason> {
        let client = http()
            .connect_timeout(Duration::from_secs(10))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(no_client)?;
        let token = remote.token()?.and_then(|token| {
            let mut header = HeaderValue::try_from(format!("Bearer {token}")).ok()?;
            header.set_sensitive(true);
            Some(header)
        });
        Ok(Way::Http(Http { client, url: remote.url.clone(), token }))
    }

    /// One call, once, within `patience`.
    pub(crate) async fn call_within<C: Call>(
        &self,
        call: &C,
        patience: Duration,
    ) -> Result<C::Reply, Errors> {
        self.send(call, patience).await.map_err(Failure::into_errors)
    }

    async fn send<C: Call>(&self, call: &C, patience: Duration) -> Result<C::Reply, Failure> {
        let (path, body) = request_of(call).map_err(|text| Failure::Answered(bug(text)))?;
        let sent = async {
            match self {
                Way::InProcess(router, runtime) => {
                    in_process::<C>(router, runtime, path, body).await
                }
                Way::Http(http) => over_http::<C>(http, &path, body).await,
            }
        };
        match tokio::time::timeout(patience, sent).await {
            Ok(answer) => {
                let (good, bytes) = answer?;
                read(C::PATH, good, &bytes).map_err(Failure::Answered)
            }
            Err(_) => Err(Failure::Silent(patience)),
        }
    }
}

/// An HTTP client to be set up further; without this none can be built, not even for a socket.
pub(crate) fn http() -> reqwest::ClientBuilder {
    // Set by whoever comes first; any is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
}

fn no_client(error: reqwest::Error) -> Reason {
    Reason::bug(format!("no HTTP client: {error}"))
}

/// What an answer says.
fn read<T: DeserializeOwned>(path: &str, good: bool, bytes: &[u8]) -> Result<T, Errors> {
    if good {
        return serde_json::from_slice(bytes).map_err(|error| {
            let text = format!("the engine's answer to {path} reads badly: {error}");
            bug(format!("{text}; is it of another version?"))
        });
    }
    let errors = serde_json::from_slice::<Errors>(bytes).ok();
    Err(errors.filter(|errors| !errors.errors.is_empty()).unwrap_or_else(|| {
        let text = printable(&String::from_utf8_lossy(&bytes[..bytes.len().min(200)]));
        bug(format!("the engine refused {path} without a reason: {text}"))
    }))
}

fn bug(text: impl AsRef<str>) -> Errors {
    Reason::bug(text).into()
}

/// Path with query, and body, of a call.
fn request_of<C: Call>(call: &C) -> Result<(String, Vec<u8>), String> {
    let mut path = C::PATH.to_owned();
    if let Some(id) = call.id() {
        path = path.replace("{id}", &id.to_string());
    }
    match C::METHOD {
        Method::Get => {
            let query = serde_urlencoded::to_string(call).map_err(|error| error.to_string())?;
            if !query.is_empty() {
                path = format!("{path}?{query}");
            }
            Ok((path, Vec::new()))
        }
        Method::Post => {
            let body = serde_json::to_vec(call).map_err(|error| error.to_string())?;
            Ok((path, body))
        }
    }
}

async fn in_process<C: Call>(
    router: &Router,
    runtime: &tokio::runtime::Handle,
    path: String,
    body: Vec<u8>,
) -> Result<(bool, Vec<u8>), Failure> {
    let method = match C::METHOD {
        Method::Get => "GET",
        Method::Post => "POST",
    };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body))
        .map_err(|error| Failure::Answered(bug(format!("no request: {error}"))))?;
    let router = router.clone();
    // On the engine's runtime: a screen that is busy drawing delays no call, and the other way round.
    let answering = runtime.spawn(async move {
        let Ok(response) = router.oneshot(request).await;
        let good = response.status().is_success();
        let bytes = to_bytes(response.into_body(), usize::MAX).await;
        bytes.map(|bytes| (good, bytes.to_vec())).map_err(|error| error.to_string())
    });
    match answering.await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(text)) => Err(Failure::Lost(text)),
        Err(_) => Err(Failure::Lost("the engine in this process has ended".to_owned())),
    }
}

impl Http {
    fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.url));
        match &self.token {
            Some(token) => request.header(header::AUTHORIZATION, token),
            None => request,
        }
    }

    /// Sends a request; an error says whether it may have arrived.
    async fn send(&self, request: reqwest::RequestBuilder) -> Result<reqwest::Response, Failure> {
        request.send().await.map_err(|error| {
            let text = format!("{}: {}", self.url, innermost(&error));
            match error.is_connect() {
                true => Failure::Unsent(text),
                false => Failure::Lost(text),
            }
        })
    }
}

/// What is at the bottom of an error: the words of the system.
fn innermost(error: &reqwest::Error) -> String {
    let mut error: &dyn std::error::Error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

async fn over_http<C: Call>(
    http: &Http,
    path: &str,
    body: Vec<u8>,
) -> Result<(bool, Vec<u8>), Failure> {
    let request = match C::METHOD {
        Method::Get => http.request(reqwest::Method::GET, path),
        Method::Post => http
            .request(reqwest::Method::POST, path)
            .header(header::CONTENT_TYPE, "application/json")
            .body(body),
    };
    let response = http.send(request).await?;
    let good = response.status().is_success();
    let bytes = response.bytes().await.map_err(|error| Failure::Lost(innermost(&error)))?;
    Ok((good, bytes.to_vec()))
}

impl Failure {
    fn into_errors(self) -> Errors {
        match self {
            Failure::Answered(errors) => errors,
            Failure::Unsent(text) => {
                Reason::machine(format!("no engine answers: {text}; start the command again"))
                    .into()
            }
            Failure::Lost(text) => Reason::machine(format!(
                "the engine ended while it was asked ({text}); look with `dvp-console jobs` \
                 whether it did what was asked"
            ))
            .into(),
            Failure::Silent(patience) => Reason::machine(format!(
                "the engine did not answer within {} s; see `dvp-console engine status`",
                patience.as_secs()
            ))
            .into(),
        }
    }
}

impl Client {
    /// A client that stays with one way.
    pub(crate) fn fixed(way: Way) -> Self {
        let inner =
            Inner { way: RwLock::new((0, way)), attach: None, attaching: Default::default() };
        Self { inner: Arc::new(inner) }
    }

    /// A client that attaches anew as `role` when its engine is gone. `host` is the engine of this
    /// process, if it hosts.
    pub(crate) fn attached(way: Way, host: Option<Host>, config: Config, role: Role) -> Self {
        let attach = Some(Attach { config, role, host: Mutex::new(host) });
        let inner = Inner { way: RwLock::new((0, way)), attach, attaching: Default::default() };
        Self { inner: Arc::new(inner) }
    }

    /// Asks the engine. Waits at most the call's patience an attempt.
    ///
    /// # Errors
    /// All that is wrong, as the engine says it, or one reason of kind machine when no engine answers.
    pub async fn call<C: Call>(&self, call: &C) -> Result<C::Reply, Errors> {
        let mut tries = 0;
        loop {
            let (generation, way) = self.way();
            let patience = Duration::from_millis(call.patience_ms());
            let failure = match way.send(call, patience).await {
                Ok(reply) => return Ok(reply),
                Err(failure) => failure,
            };
            let again = match &failure {
                Failure::Unsent(_) => true,
                Failure::Lost(_) => C::REPEATABLE,
                Failure::Silent(_) | Failure::Answered(_) => false,
            };
            tries += 1;
            if !again || tries > REATTACHES || self.inner.attach.is_none() {
                return Err(failure.into_errors());
            }
            self.attach_anew(generation).await?;
        }
    }

    fn way(&self) -> (u64, Way) {
        self.inner.way.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Finds or becomes the engine that serves now, unless another call already did since `generation`.
    async fn attach_anew(&self, generation: u64) -> Result<(), Reason> {
        let _one_at_a_time = self.inner.attaching.lock().await;
        if self.way().0 != generation {
            return Ok(());
        }
        let Some(attach) = &self.inner.attach else { return Ok(()) };
        let (way, host) = host::find(&attach.config, attach.role).await?;
        *attach.host.lock().unwrap_or_else(PoisonError::into_inner) = host;
        *self.inner.way.write().unwrap_or_else(PoisonError::into_inner) = (generation + 1, way);
        Ok(())
    }

    /// Whether this process hosts the engine now.
    pub fn is_hosting(&self) -> bool {
        let attach = self.inner.attach.as_ref();
        attach.is_some_and(|attach| {
            attach.host.lock().unwrap_or_else(PoisonError::into_inner).is_some()
        })
    }

    /// The engine that this process hosts, taken out: its owner stops it.
    pub(crate) fn take_host(&self) -> Option<Host> {
        let attach = self.inner.attach.as_ref()?;
        attach.host.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The settings that this client attaches with, if it does.
    pub(crate) fn config(&self) -> Option<&Config> {
        self.inner.attach.as_ref().map(|attach| &attach.config)
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("hosting", &self.is_hosting()).finish()
    }
}
