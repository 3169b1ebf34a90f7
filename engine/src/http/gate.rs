//! Who may ask over TCP: a bearer token beyond this machine, and no web page of somebody else's on it.
//! Knows nothing of what is asked.

use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use dvp_model::error::Reason;
use dvp_model::path::printable;
use sha2::{Digest, Sha256};

use super::answer::Refusal;
use super::checks;

/// The file in a data folder that holds its token.
pub fn token_file(data_dir: &Path) -> PathBuf {
    data_dir.join("token")
}

/// The token of a data folder; made, and readable by its owner alone, when there is none.
///
/// # Errors
/// When it can be neither read nor made, or others could read it.
pub fn token(data_dir: &Path) -> Result<String, Reason> {
    let file = token_file(data_dir);
    let at = printable(&file.to_string_lossy());
    let wrong = |error: std::io::Error| Reason::machine(format!("cannot use {at}: {error}"));
    let fresh = format!("{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>());
    // Written under another name and linked: whoever reads the file finds all of it, and of two that make
    // one the first wins.
    let mut draft = tempfile_in(data_dir).map_err(wrong)?;
    let linked = draft.1.write_all(fresh.as_bytes()).and_then(|()| draft.1.sync_all());
    let linked = linked.and_then(|()| std::fs::hard_link(&draft.0, &file));
    let _ = std::fs::remove_file(&draft.0);
    match linked {
        Ok(()) => return Ok(fresh),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(wrong(error)),
    }
    let mode = std::fs::metadata(&file).map_err(wrong)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(Reason::machine(format!(
            "others may read {at}: remove it, and start the engine again to have a new token made"
        )));
    }
    let text = std::fs::read_to_string(&file).map_err(wrong)?;
    match text.trim() {
        "" => Err(Reason::machine(format!("{at} is empty: remove it, and start again"))),
        token => Ok(token.to_owned()),
    }
}

fn tempfile_in(folder: &Path) -> std::io::Result<(PathBuf, std::fs::File)> {
    let path = folder.join(format!(".token.{:016x}", rand::random::<u64>()));
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(&path)?;
    Ok((path, file))
}

/// The router as it is served on `at`. `token` is asked for unless `at` is on the loopback; there a page
/// in a browser must not reach the engine by another name, or from another site.
pub(crate) fn guarded(router: Router, at: SocketAddr, token: &str) -> Router {
    let wanted: Arc<[u8]> = Arc::from(Sha256::digest(token.as_bytes()).as_slice());
    let local = at.ip().is_loopback();
    router.layer(middleware::from_fn(move |request: Request, next: Next| {
        let wanted = wanted.clone();
        async move {
            let path = request.uri().path();
            let open = path == "/docs" || checks::is_check(path);
            let known = bears(request.headers(), &wanted);
            let near = local && is_of_this_machine(request.headers());
            if open || known || near { next.run(request).await } else { refusal(local) }
        }
    }))
}

/// Hashes are compared, not tokens: how long that takes tells nothing of the token.
fn bears(headers: &HeaderMap, wanted: &[u8]) -> bool {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.split_once(' '));
    given.is_some_and(|(scheme, token)| {
        scheme.eq_ignore_ascii_case("bearer")
            && Sha256::digest(token.trim().as_bytes()).as_slice() == wanted
    })
}

/// A request that names the loopback and comes from no page of another site.
fn is_of_this_machine(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or("");
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(""),
        None => host.split(':').next().unwrap_or(""),
    };
    let named = name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    named && !headers.contains_key(header::ORIGIN)
}

fn refusal(local: bool) -> Response {
    let (status, text) = match local {
        true => (
            StatusCode::FORBIDDEN,
            "without a token this address answers only to its own name, and to no web page: ask \
             http://127.0.0.1, or send the token that `dvp-engine token` prints",
        ),
        false => (
            StatusCode::UNAUTHORIZED,
            "this call needs the token: send 'Authorization: Bearer ...' with what `dvp-engine \
             token` prints on the engine's machine",
        ),
    };
    let mut answer = Refusal::with(status, Reason::spec(text)).into_response();
    if !local {
        let bearer = header::HeaderValue::from_static("Bearer");
        answer.headers_mut().insert(header::WWW_AUTHENTICATE, bearer);
    }
    answer
}
