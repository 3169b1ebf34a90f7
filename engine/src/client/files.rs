//! Films to an engine elsewhere, and outputs from it: streamed, and gone on with where they stopped.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use axum::http::{StatusCode, header};
use dvp_model::error::{Kind, Reason};
use dvp_model::job::Output;
use dvp_model::path::printable;
use dvp_model::wire::api::{Errors, UploadBegin, UploadEnd, Uploaded};
use dvp_model::{FilePath, JobId};
use futures::StreamExt;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use tokio_util::io::ReaderStream;

use super::{Client, Failure, Http, Way, bug, innermost, read};

/// What is read at once, bytes.
const AT_ONCE: usize = 256 << 10;
/// Tries in a row that bring nothing on, until it is given up.
const TRIES: u32 = 5;
/// The first pause between them; each is twice as long as the one before.
const PAUSE: Duration = Duration::from_millis(500);

/// The name of a film's upload: that of the same file as it is now, so that another try goes on with what
/// was sent before.
pub fn upload_id(path: &Path, found: &std::fs::Metadata) -> JobId {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut hash = Sha256::new();
    hash.update(rustix::system::uname().nodename().to_bytes_with_nul());
    hash.update(path.as_os_str().as_bytes());
    for number in [found.len() as i64, found.mtime(), found.mtime_nsec(), found.ino() as i64] {
        hash.update(number.to_le_bytes());
    }
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    JobId(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

impl Client {
    fn http(&self) -> Result<Http, Errors> {
        match self.way().1 {
            Way::Http(http) => Ok(http),
            Way::InProcess(..) => Err(bug("files are sent to an engine elsewhere only")),
        }
    }

    /// Sends a film to the engine, or what is missing of it. `id` names the upload: the same one goes on with
    /// what came before. `progress` hears bytes that are there, and all. Gives its path on the engine's
    /// machine.
    ///
    /// # Errors
    /// When it can't be read here or kept there, or no engine answers for a while.
    pub async fn upload(
        &self,
        id: JobId,
        path: &Path,
        progress: impl Fn(u64, u64) + Clone + Send + Sync + 'static,
    ) -> Result<FilePath, Errors> {
        let shown = printable(&path.to_string_lossy());
        let unreadable =
            |error: std::io::Error| Reason::input(format!("{shown} can't be read: {error}"));
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let bytes = tokio::fs::metadata(path).await.map_err(unreadable)?.len();
        let (mut tries, mut best) = (0, 0);
        loop {
            let failure = match self.call(&UploadBegin { id, name: name.clone() }).await {
                Ok(Uploaded { received, path: Some(whole) }) if received == bytes => {
                    progress(bytes, bytes);
                    return Ok(whole);
                }
                Ok(Uploaded { received, .. }) if received > bytes => {
                    return Err(Reason::input(format!(
                        "{shown} is shorter than what was sent of it: it was changed meanwhile"
                    ))
                    .into());
                }
                Ok(Uploaded { received, .. }) if received == bytes => {
                    let ended = self.call(&UploadEnd { id, name: name.clone(), bytes }).await?;
                    return ended.path.ok_or_else(|| bug("an upload ended without a path"));
                }
                Ok(Uploaded { received, .. }) => {
                    progress(received, bytes);
                    if received > best {
                        (best, tries) = (received, 0);
                    }
                    let mut file = tokio::fs::File::open(path).await.map_err(unreadable)?;
                    let from = std::io::SeekFrom::Start(received);
                    file.seek(from).await.map_err(unreadable)?;
                    let (http, rest) = (self.http()?, file.take(bytes - received));
                    match send(&http, id, &name, received, rest, progress.clone()).await {
                        Ok(()) => continue,
                        Err(failure) => failure,
                    }
                }
                Err(errors) => Failure::Answered(errors),
            };
            tries += 1;
            match failure {
                Failure::Answered(errors) if !is_again(&errors) => return Err(errors),
                failure if tries > TRIES => return Err(failure.into_errors()),
                _ => tokio::time::sleep(PAUSE * 2_u32.pow(tries - 1)).await,
            }
        }
    }

    /// Fetches a job's output into `path`, which must not be there yet unless `force`. What came before lies
    /// beside it, under a name that ends in `.part`, and is gone on with. It gets its name when its hash is
    /// right.
    ///
    /// # Errors
    /// When it can't be fetched or kept, or is not what the job made.
    pub async fn download(
        &self,
        id: JobId,
        output: &Output,
        path: &Path,
        force: bool,
        progress: impl Fn(u64, u64),
    ) -> Result<(), Errors> {
        let shown = printable(&path.to_string_lossy());
        let cannot =
            |error: std::io::Error| Reason::output(format!("{shown} can't be written: {error}"));
        if !force && path.symlink_metadata().is_ok() {
            return Err(Reason::output(format!(
                "{shown} exists already: give another --output, or --force to replace it"
            ))
            .into());
        }
        let mut part = path.as_os_str().to_owned();
        part.push(format!(".{}.part", id.short()));
        let part = Path::new(&part);
        let mut options = tokio::fs::OpenOptions::new();
        let mut file = options.append(true).create(true).open(part).await.map_err(cannot)?;
        let mut have = file.metadata().await.map_err(cannot)?.len();
        if have > output.bytes {
            file.set_len(0).await.map_err(cannot)?;
            have = 0;
        }
        let mut tries = 0;
        progress(have, output.bytes);
        while have < output.bytes {
            let before = have;
            let got = fetch(&self.http()?, id, output, &mut file, &mut have, &progress).await;
            let failure = match got {
                Ok(()) => continue,
                Err(Failure::Answered(errors)) if !is_again(&errors) => return Err(errors),
                Err(failure) => failure,
            };
            tries = if have > before { 1 } else { tries + 1 };
            if tries > TRIES {
                return Err(failure.into_errors());
            }
            tokio::time::sleep(PAUSE * 2_u32.pow(tries - 1)).await;
        }
        file.sync_all().await.map_err(cannot)?;
        let whole = part.to_owned();
        let hashed = tokio::task::spawn_blocking(move || hash(&whole)).await;
        let hashed = hashed.map_err(|error| bug(error.to_string()))?.map_err(cannot)?;
        if hashed != output.sha256 {
            let _ = tokio::fs::remove_file(part).await;
            return Err(Reason::machine(format!(
                "what came is not what the job made (SHA-256 {hashed}, not {}): fetch it again",
                output.sha256
            ))
            .into());
        }
        let flags = if force { RenameFlags::empty() } else { RenameFlags::NOREPLACE };
        renameat_with(CWD, part, CWD, path, flags).map_err(|error| cannot(error.into()).into())
    }
}

/// Whether the same request may fare better: the other side was at fault, or still busy with the one before.
fn is_again(errors: &Errors) -> bool {
    let kind = errors.errors.first().map(|reason| reason.kind);
    matches!(kind, Some(Kind::Machine | Kind::Conflict))
}

async fn send(
    http: &Http,
    id: JobId,
    name: &str,
    at: u64,
    rest: tokio::io::Take<tokio::fs::File>,
    progress: impl Fn(u64, u64) + Send + Sync + 'static,
) -> Result<(), Failure> {
    let query = [("name", name), ("at", &at.to_string())];
    let query = serde_urlencoded::to_string(query)
        .map_err(|error| Failure::Answered(bug(error.to_string())))?;
    let path = format!("/uploads/{id}?{query}");
    let mut sent = at;
    let length = rest.limit();
    let bytes = at + length;
    let stream = ReaderStream::with_capacity(rest, AT_ONCE).inspect(move |chunk| {
        sent += chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
        progress(sent, bytes);
    });
    let request = http
        .request(reqwest::Method::PUT, &path)
        .header(header::CONTENT_TYPE, "application/octet-stream")
        .header(header::CONTENT_LENGTH, length)
        .body(reqwest::Body::wrap_stream(stream));
    let response = http.send(request).await?;
    let good = response.status().is_success();
    let body = response.bytes().await.map_err(|error| Failure::Lost(innermost(&error)))?;
    read::<Uploaded>("/uploads/{id}", good, &body).map(drop).map_err(Failure::Answered)
}

async fn fetch(
    http: &Http,
    id: JobId,
    output: &Output,
    file: &mut tokio::fs::File,
    have: &mut u64,
    progress: &impl Fn(u64, u64),
) -> Result<(), Failure> {
    let request = http
        .request(reqwest::Method::GET, &format!("/jobs/{id}/output"))
        .header(header::RANGE, format!("bytes={have}-"))
        .header(header::IF_RANGE, format!("\"{}\"", output.sha256));
    let response = http.send(request).await?;
    match response.status() {
        StatusCode::PARTIAL_CONTENT => {}
        // Not the range: another file, or a server that knows none. From the start, then.
        StatusCode::OK => {
            let cut = file.set_len(0).await;
            cut.map_err(|error| Failure::Answered(Reason::output(error.to_string()).into()))?;
            *have = 0;
        }
        _ => {
            let body = response.bytes().await.map_err(|error| Failure::Lost(innermost(&error)))?;
            let read = read::<Uploaded>("/jobs/{id}/output", false, &body);
            return Err(Failure::Answered(read.err().unwrap_or_else(|| bug("no reason"))));
        }
    }
    let mut stream = response.bytes_stream();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|error| Failure::Lost(innermost(&error)))?;
        let written = file.write_all(&chunk).await;
        written.map_err(|error| Failure::Answered(Reason::output(error.to_string()).into()))?;
        *have += chunk.len() as u64;
        progress(*have, output.bytes);
    }
    let flushed = file.flush().await;
    flushed.map_err(|error| Failure::Answered(Reason::output(error.to_string()).into()))
}

fn hash(path: &Path) -> std::io::Result<String> {
    use std::io::Read;
    let mut file = std::fs::File::open(path)?;
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            count => hash.update(&buffer[..count]),
        }
    }
}
