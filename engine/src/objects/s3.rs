//! S3: the engine's own requests, with its credentials, and URLs signed for workers, who have none. Knows
//! nothing of jobs.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation,
    SharedHttpClient,
};
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use dvp_model::S3Name;
use dvp_model::error::Reason;
use dvp_model::wire::access::{Access, Signed};
use futures::StreamExt;

use super::health::{Clock, Health};

/// Tries of one request before it counts as failed.
const TRIES: u32 = 5;
/// How often S3 is looked at.
const LOOK: Duration = Duration::from_secs(10);
/// How long a connection may take to stand.
const CONNECT: Duration = Duration::from_secs(5);
/// How long one try may take, and all of them.
const TRY: Duration = Duration::from_secs(30);
const ALL_TRIES: Duration = Duration::from_secs(90);
/// Objects that are removed at once.
const REMOVALS: usize = 16;
/// The region whose buckets are made without naming it.
const FIRST_REGION: &str = "us-east-1";

/// Where S3 is, and who we are there.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// `http://host:port`, as the engine reaches it.
    pub endpoint: String,
    /// The same, as workers reach it.
    pub worker_endpoint: String,
    /// The access key's id.
    pub access_key: String,
    /// The access key.
    pub secret_key: String,
    /// The region.
    pub region: String,
    /// The bucket for chunks; made when missing.
    pub bucket: String,
    /// The bucket's name stands in the host's, not in the path.
    pub virtual_host: bool,
    /// Certificates (PEM) of an authority that vouches for S3, besides the system's.
    pub authority: Option<String>,
    /// Whether finished items lie in the bucket, and not in a folder.
    pub holds_objects: bool,
    /// How long a signed URL lasts.
    pub lifetime: Duration,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { endpoint, access_key, bucket, .. } = self;
        write!(f, "S3({access_key}:***@{endpoint} {bucket})")
    }
}

/// S3 as the engine uses it; clones are the same.
#[derive(Clone)]
pub struct S3 {
    pub(super) client: Client,
    /// Signs for workers, who may reach S3 under another name.
    signer: Client,
    settings: Arc<Settings>,
    health: Arc<Health>,
}

/// What is known of an object without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its length.
    pub bytes: u64,
    /// Another one has another tag.
    pub etag: String,
    /// What its maker wrote beside it: names in lower case, and values.
    pub notes: BTreeMap<String, String>,
}

impl S3 {
    /// With these settings. Nothing is asked of S3 yet.
    ///
    /// # Errors
    /// When the certificates can't be used.
    pub fn new(settings: Settings) -> Result<Self, Reason> {
        let health = Arc::new(Health::new(&settings));
        let clock = Clock::new(Arc::clone(&health));
        let http = http_client(settings.authority.as_deref())?;
        let client = Client::from_conf(
            config(&settings, &settings.endpoint).http_client(http).interceptor(clock).build(),
        );
        let signer = Client::from_conf(config(&settings, &settings.worker_endpoint).build());
        Ok(Self { client, signer, settings: Arc::new(settings), health })
    }

    /// Where it is.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What it is, for a person.
    pub(super) fn place(&self) -> String {
        format!("S3 at {}, bucket {}", self.settings.endpoint, self.settings.bucket)
    }

    /// How it stands.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Looks at S3 for as long as the engine runs, and makes the bucket when it is missing.
    pub(crate) async fn watch(self) {
        loop {
            let seen = self.make_bucket().await;
            let text = seen.as_ref().err().map(|reason| reason.text.clone());
            if self.health.saw(seen) {
                tracing::warn!("{}", text.unwrap_or_default());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Makes the bucket for chunks, unless it is there.
    ///
    /// # Errors
    /// When S3 is away or refuses.
    pub async fn make_bucket(&self) -> Result<(), Reason> {
        let bucket = &self.settings.bucket;
        if self.has_bucket(bucket).await? {
            return Ok(());
        }
        let region = self.settings.region.as_str();
        let place = (region != FIRST_REGION).then(|| {
            let region = BucketLocationConstraint::from(region);
            CreateBucketConfiguration::builder().location_constraint(region).build()
        });
        let making =
            self.client.create_bucket().bucket(bucket).set_create_bucket_configuration(place);
        match making.send().await {
            Ok(_) => {
                tracing::info!("made the bucket {bucket}");
                Ok(())
            }
            // Another engine was faster.
            Err(_) if self.has_bucket(bucket).await? => Ok(()),
            Err(error) => Err(self.fault(format!("the bucket {bucket} can't be made"), error)),
        }
    }

    /// Whether there is such a bucket.
    ///
    /// # Errors
    /// When S3 is away or refuses.
    pub async fn has_bucket(&self, bucket: &str) -> Result<bool, Reason> {
        match self.client.head_bucket().bucket(bucket).send().await {
            Ok(_) => Ok(true),
            Err(error) if error.as_service_error().is_some_and(|it| it.is_not_found()) => Ok(false),
            Err(error) => Err(self.fault(format!("the bucket {bucket}"), error)),
        }
    }

    /// Looks at an object; none when it, or its bucket, is not there.
    ///
    /// # Errors
    /// When S3 is away or refuses.
    pub async fn find(&self, name: &S3Name) -> Result<Option<Found>, Reason> {
        let asked = self.client.head_object().bucket(name.bucket()).key(name.key()).send().await;
        match asked {
            Ok(found) => Ok(Some(Found {
                bytes: found.content_length.unwrap_or(0).max(0) as u64,
                etag: found.e_tag.unwrap_or_default(),
                notes: found.metadata.unwrap_or_default().into_iter().collect(),
            })),
            Err(error) if error.as_service_error().is_some_and(|it| it.is_not_found()) => Ok(None),
            Err(error) => Err(self.fault(name, error)),
        }
    }

    /// Reads a small object; none when it is not there.
    ///
    /// # Errors
    /// When S3 is away or refuses.
    pub async fn read(&self, name: &S3Name) -> Result<Option<Vec<u8>>, Reason> {
        let asked = self.client.get_object().bucket(name.bucket()).key(name.key()).send().await;
        match asked {
            Ok(found) => match found.body.collect().await {
                Ok(bytes) => Ok(Some(bytes.to_vec())),
                Err(error) => Err(self.away(format!("{name}: {error}"))),
            },
            Err(error) if error.as_service_error().is_some_and(|it| it.is_no_such_key()) => {
                Ok(None)
            }
            Err(error) => Err(self.fault(name, error)),
        }
    }

    /// Writes a small object, in place of what is there.
    ///
    /// # Errors
    /// When S3 is away or refuses.
    pub async fn write(&self, name: &S3Name, kind: &str, bytes: Vec<u8>) -> Result<(), Reason> {
        let put = self.client.put_object().bucket(name.bucket()).key(name.key());
        let sent = put.content_type(kind).body(ByteStream::from(bytes)).send().await;
        sent.map(drop).map_err(|error| self.fault(name, error))
    }

    /// Removes objects; what is not there is no fault.
    ///
    /// # Errors
    /// The first that can't be removed; the others are.
    pub async fn remove(&self, names: &[S3Name]) -> Result<(), Reason> {
        let removals: Vec<_> = names.iter().map(|name| self.remove_one(name)).collect();
        let results: Vec<_> =
            futures::stream::iter(removals).buffer_unordered(REMOVALS).collect().await;
        results.into_iter().collect()
    }

    async fn remove_one(&self, name: &S3Name) -> Result<(), Reason> {
        let removal = self.client.delete_object().bucket(name.bucket()).key(name.key());
        removal.send().await.map(drop).map_err(|error| self.fault(name, error))
    }

    /// Every object of the chunks' bucket whose key begins with `prefix`, and its length.
    ///
    /// # Errors
    /// When S3 is away or refuses.
    pub async fn list(&self, prefix: &str) -> Result<Vec<(S3Name, u64)>, Reason> {
        let bucket = &self.settings.bucket;
        let listing = self.client.list_objects_v2().bucket(bucket).prefix(prefix);
        let mut pages = listing.into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| self.fault(format!("the bucket {bucket}"), error))?;
            for object in page.contents.unwrap_or_default() {
                let name = object.key.and_then(|key| S3Name::new(bucket, &key).ok());
                found.extend(name.map(|name| (name, object.size.unwrap_or(0).max(0) as u64)));
            }
        }
        Ok(found)
    }

    /// The folders of the chunks' bucket right below `prefix`, which ends with `/`: their names alone.
    ///
    /// # Errors
    /// When S3 is away or refuses.
    pub async fn folders(&self, prefix: &str) -> Result<Vec<String>, Reason> {
        let bucket = &self.settings.bucket;
        let listing = self.client.list_objects_v2().bucket(bucket).prefix(prefix).delimiter("/");
        let mut pages = listing.into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| self.fault(format!("the bucket {bucket}"), error))?;
            for folder in page.common_prefixes.unwrap_or_default() {
                let name = folder.prefix.unwrap_or_default();
                let name = name.strip_prefix(prefix).and_then(|name| name.strip_suffix('/'));
                found.extend(name.map(str::to_owned));
            }
        }
        Ok(found)
    }

    /// A URL that lets its holder do one thing with one object for a while. A part belongs to an upload.
    ///
    /// # Errors
    /// A bug only: nothing is asked of S3.
    pub async fn sign(
        &self,
        name: &S3Name,
        access: Access,
        upload: Option<&str>,
    ) -> Result<Signed, Reason> {
        let bug = |error: String| Reason::bug(format!("a URL for {name} can't be signed: {error}"));
        let lasts = PresigningConfig::expires_in(self.settings.lifetime)
            .map_err(|error| bug(error.to_string()))?;
        let (bucket, key) = (name.bucket(), name.key());
        let signed = match access {
            Access::Get => {
                let get = self.signer.get_object().bucket(bucket).key(key);
                get.presigned(lasts).await.map_err(|error| bug(error.to_string()))
            }
            Access::Put => {
                let put = self.signer.put_object().bucket(bucket).key(key);
                put.presigned(lasts).await.map_err(|error| bug(error.to_string()))
            }
            Access::Part(number) => {
                let part = self.signer.upload_part().bucket(bucket).key(key);
                let part = part.part_number(number as i32).set_upload_id(upload.map(str::to_owned));
                part.presigned(lasts).await.map_err(|error| bug(error.to_string()))
            }
        };
        Ok(Signed::new(signed?.uri().to_owned(), self.settings.authority.clone()))
    }

    /// What S3, or the way to it, says of something that failed.
    pub(super) fn fault<E>(
        &self,
        what: impl fmt::Display,
        error: super::health::Failed<E>,
    ) -> Reason
    where
        E: aws_sdk_s3::error::ProvideErrorMetadata,
    {
        self.away(format!("{what}: {}", self.health.said(&error)))
    }

    pub(super) fn away(&self, text: String) -> Reason {
        Reason::machine(format!("S3 at {}: {text}", self.settings.endpoint))
    }
}

fn config(settings: &Settings, endpoint: &str) -> aws_sdk_s3::config::Builder {
    let key = Credentials::new(&settings.access_key, &settings.secret_key, None, None, "settings");
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .operation_attempt_timeout(TRY)
        .operation_timeout(ALL_TRIES)
        .build();
    aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .region(Region::new(settings.region.clone()))
        .credentials_provider(key)
        .force_path_style(!settings.virtual_host)
        // Other servers than Amazon's don't know all kinds of checksums, and workers send others.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .retry_config(RetryConfig::standard().with_max_attempts(TRIES))
        .timeout_config(timeouts)
}

/// TLS by rustls and ring, trusting the system's authorities and ours.
fn http_client(authority: Option<&str>) -> Result<SharedHttpClient, Reason> {
    let mut trusted = TrustStore::default();
    if let Some(authority) = authority {
        trusted.add_pem_certificate(authority);
    }
    let tls = TlsContext::builder().with_trust_store(trusted).build();
    let tls = tls.map_err(|error| {
        Reason::spec(format!("the certificates of S3's authority can't be used: {error}"))
    })?;
    let client = aws_smithy_http_client::Builder::new();
    Ok(client.tls_provider(Provider::Rustls(CryptoMode::Ring)).tls_context(tls).build_https())
}
