//! The suite on S3 servers: MinIO, and s3s over a folder.

use std::time::Duration;

use dvp_engine::objects::Objects;
use dvp_engine::objects::s3::{S3, Settings};
use dvp_model::S3Name;
use dvp_model::wire::access::Access;
use testbed::minio::Minio;

use super::{other, suite};

pub fn settings(endpoint: &str) -> Settings {
    Settings {
        endpoint: endpoint.to_owned(),
        worker_endpoint: endpoint.to_owned(),
        access_key: Minio::USER.to_owned(),
        secret_key: Minio::PASSWORD.to_owned(),
        region: "us-east-1".to_owned(),
        bucket: "artifacts".to_owned(),
        virtual_host: false,
        authority: None,
        holds_objects: true,
        lifetime: Duration::from_secs(3600),
    }
}

async fn whole(endpoint: &str) {
    let s3 = S3::new(settings(endpoint)).unwrap();
    assert!(!s3.has_bucket("artifacts").await.unwrap());
    // Two engines that start at once.
    let (one, two) = tokio::join!(s3.make_bucket(), s3.make_bucket());
    one.and(two).unwrap();
    s3.make_bucket().await.unwrap();
    assert!(s3.has_bucket("artifacts").await.unwrap());
    let dir = tempfile::tempdir().unwrap();
    let objects = Objects::open(dir.path().join("objects"), Some(s3.clone())).unwrap();
    suite::objects(&objects).await;
    suite::s3(&s3).await;
    suite::parts(&s3).await;
}

#[tokio::test]
async fn minio_holds_objects() {
    let minio = Minio::start();
    whole(&minio.endpoint()).await;
    assert_eq!(minio.unfinished(), 0);
    worker_endpoints_and_virtual_hosts(&minio).await;
    wrong_keys(&minio).await;
}

#[tokio::test]
async fn another_s3_holds_objects() {
    let server = other::Server::start().await;
    whole(&server.endpoint).await;
}

/// Signatures carry the host: a worker's URL is for the worker's endpoint, and a bucket that is a host name
/// is signed as one.
async fn worker_endpoints_and_virtual_hosts(minio: &Minio) {
    let name = S3Name::new("artifacts", "there.mp4").unwrap();
    let port = minio.address().rsplit(':').next().unwrap().to_owned();
    let elsewhere = S3::new(Settings {
        worker_endpoint: format!("http://{}:{port}", Minio::DOMAIN),
        virtual_host: true,
        ..settings(&minio.endpoint())
    });
    let elsewhere = elsewhere.unwrap();
    let signed = elsewhere.sign(&name, Access::Put, None).await.unwrap();
    let host = format!("artifacts.{}", Minio::DOMAIN);
    assert!(signed.url().starts_with(&format!("http://{host}:{port}/there.mp4?")), "{signed:?}");
    let address = minio.address().parse().unwrap();
    let http = reqwest::Client::builder().resolve(&host, address).build().unwrap();
    let sent = http.put(signed.url()).body("here").send().await.unwrap();
    assert_eq!(sent.status(), 200, "{}", sent.text().await.unwrap());
    let here = S3::new(settings(&minio.endpoint())).unwrap();
    assert_eq!(here.read(&name).await.unwrap().unwrap(), b"here");
}

async fn wrong_keys(minio: &Minio) {
    let wrong = Settings { secret_key: "hunter2".to_owned(), ..settings(&minio.endpoint()) };
    let s3 = S3::new(wrong).unwrap();
    let name = S3Name::new("artifacts", "there.mp4").unwrap();
    for reason in [
        s3.make_bucket().await.unwrap_err(),
        s3.find(&name).await.unwrap_err(),
        s3.list("objects/").await.unwrap_err(),
        s3.begin(&name, "video/mp4", Default::default()).await.unwrap_err(),
    ] {
        assert!(reason.text.starts_with(&format!("S3 at {}: ", minio.endpoint())), "{reason}");
        assert!(!reason.text.contains("hunter2") && !reason.text.contains("X-Amz"), "{reason}");
    }
}

#[tokio::test]
async fn an_authority_of_its_own_vouches_for_s3() {
    let minio = Minio::start_with_tls();
    let authority = Some(std::fs::read_to_string(minio.authority()).unwrap());
    let s3 = S3::new(Settings { authority, ..settings(&minio.endpoint()) }).unwrap();
    s3.make_bucket().await.unwrap();
    let stranger = S3::new(settings(&minio.endpoint())).unwrap();
    let reason = stranger.make_bucket().await.unwrap_err();
    assert!(reason.text.contains("certificate"), "{reason}");
}

#[tokio::test]
async fn a_server_that_is_away_is_named() {
    let mut minio = Minio::start();
    let s3 = S3::new(settings(&minio.endpoint())).unwrap();
    s3.make_bucket().await.unwrap();
    minio.stop();
    let reason = s3.make_bucket().await.unwrap_err();
    assert!(reason.kind.is_transient() && reason.text.contains("refused"), "{reason}");
    minio.begin();
    s3.make_bucket().await.unwrap();
}
