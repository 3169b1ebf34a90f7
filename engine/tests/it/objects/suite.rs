//! The suite, and what S3 must do besides.

use std::collections::BTreeMap;

use dvp_engine::objects::{Objects, S3, epoch_of};
use dvp_model::error::Kind;
use dvp_model::wire::access::Access;
use dvp_model::wire::worker::Locator;
use dvp_model::{ChunkIndex, Epoch, Item, JobId, RunTag, S3Name};
use reqwest::header::{ETAG, IF_MATCH, RANGE};
use reqwest::{Client, StatusCode};

/// Writes an object as a worker does: a file, or with a signed URL.
async fn write(objects: &Objects, object: &Locator, bytes: &[u8]) {
    match object {
        Locator::File(path) => std::fs::write(path, bytes).unwrap(),
        Locator::S3(name) => {
            let signed = objects.s3().unwrap().sign(name, Access::Put, None).await.unwrap();
            let sent = Client::new().put(signed.url()).body(bytes.to_vec()).send().await.unwrap();
            assert_eq!(sent.status(), StatusCode::OK, "{}", sent.text().await.unwrap());
        }
    }
}

/// Objects are put, found, listed and removed, each by itself.
pub async fn objects(objects: &Objects) {
    let run = |job, epoch| RunTag { job: JobId(uuid::Uuid::from_u128(job)), epoch: Epoch(epoch) };
    let chunk = Item::Chunk(ChunkIndex(4));
    let names = [
        objects.put(&run(7, 1), chunk, 1).unwrap(),
        objects.put(&run(7, 2), chunk, 2).unwrap(),
        objects.put(&run(7, 2), Item::Sound, 1).unwrap(),
        objects.put(&run(8, 1), chunk, 1).unwrap(),
    ];
    assert_eq!(objects.put(&run(7, 2), Item::Sound, 1).unwrap(), names[2]);
    assert_eq!(names.each_ref().map(|name| epoch_of(name).unwrap().0), [1, 2, 2, 1]);
    assert_eq!(objects.size(&names[0]).await.unwrap(), None);
    for (length, name) in names.iter().enumerate() {
        write(objects, name, &vec![b'x'; length]).await;
        assert_eq!(objects.size(name).await.unwrap(), Some(length as u64));
    }
    let (seven, eight) = (run(7, 1).job, run(8, 1).job);
    let mut jobs = objects.jobs().await.unwrap();
    jobs.sort();
    assert_eq!(jobs, [seven, eight]);
    let listed = async |job| -> BTreeMap<Locator, u64> {
        objects.list(job).await.unwrap().into_iter().collect()
    };
    let lengths: Vec<u64> = names[..3].iter().map(|name| listed_length(name, &names)).collect();
    let wanted: BTreeMap<_, _> = names[..3].iter().cloned().zip(lengths).collect();
    assert_eq!(listed(seven).await, wanted);
    assert_eq!(listed(eight).await.len(), 1);
    objects.remove(seven, &[names[0].clone(), names[2].clone()]).await.unwrap();
    assert_eq!(listed(seven).await.into_keys().collect::<Vec<_>>(), [names[1].clone()]);
    assert_eq!(objects.size(&names[0]).await.unwrap(), None);
    // What is gone already is no fault.
    objects.remove(seven, &names[..3]).await.unwrap();
    assert_eq!(objects.jobs().await.unwrap(), [eight]);
    objects.remove(eight, &names[3..]).await.unwrap();
    assert_eq!(objects.jobs().await.unwrap(), []);
    assert!(listed(eight).await.is_empty());
}

fn listed_length(name: &Locator, names: &[Locator]) -> u64 {
    names.iter().position(|other| other == name).unwrap() as u64
}

fn name(key: &str) -> S3Name {
    S3Name::new("artifacts", key).unwrap()
}

/// Names of all kinds, ranges, tags, and URLs that allow one thing only.
pub async fn s3(s3: &S3) {
    let http = Client::new();
    for key in ["a film (1).mp4", "ü/ñ+%20&=?#'.mkv", "deep/er/and~deeper.mp4"] {
        let name = name(key);
        assert_eq!(s3.find(&name).await.unwrap(), None);
        assert_eq!(s3.read(&name).await.unwrap(), None);
        s3.write(&name, "video/mp4", b"0123456789".to_vec()).await.unwrap();
        let found = s3.find(&name).await.unwrap().unwrap();
        assert_eq!(found.bytes, 10);
        assert_eq!(s3.read(&name).await.unwrap().unwrap(), b"0123456789");
        let signed = s3.sign(&name, Access::Get, None).await.unwrap();
        let get = |range: &str, tag: &str| {
            http.get(signed.url()).header(RANGE, range.to_owned()).header(IF_MATCH, tag.to_owned())
        };
        let part = get("bytes=3-5", &found.etag).send().await.unwrap();
        assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
        assert_eq!(part.headers()[ETAG], found.etag.as_str());
        assert_eq!(part.headers()["content-range"], "bytes 3-5/10");
        assert_eq!(part.text().await.unwrap(), "345");
        let tag = "\"0123456789abcdef0123456789abcdef\"";
        let other = get("bytes=0-", tag).send().await.unwrap();
        // Not every server knows If-Match on reading, but all say what they give.
        let refused = other.status() == StatusCode::PRECONDITION_FAILED;
        assert!(refused || other.headers()[ETAG] == found.etag.as_str(), "{other:?}");
        // The URL reads, and does nothing else.
        let put = http.put(signed.url()).body("other").send().await.unwrap();
        assert_eq!(put.status(), StatusCode::FORBIDDEN);
        s3.remove(std::slice::from_ref(&name)).await.unwrap();
        assert_eq!(s3.find(&name).await.unwrap(), None);
        let gone = http.get(signed.url()).send().await.unwrap();
        assert_eq!(gone.status(), StatusCode::NOT_FOUND);
    }
}

/// Objects in parts are there when they are complete, and never in place of another unless that is wanted.
pub async fn parts(s3: &S3) {
    let (name, http) = (name("out/film.mp4"), Client::new());
    let send = async |upload: &str, number: u32, bytes: Vec<u8>| {
        let signed = s3.sign(&name, Access::Part(number), Some(upload)).await.unwrap();
        http.put(signed.url()).body(bytes).send().await.unwrap().status()
    };
    let notes = || BTreeMap::from([("dvp-job".to_owned(), "seven".to_owned())]);
    let upload = s3.begin(&name, "video/mp4", notes()).await.unwrap();
    assert_eq!(s3.parts(&name, &upload).await.unwrap(), []);
    // Parts but the last have 5 MiB at least.
    let (first, second) = (vec![b'a'; 5 << 20], vec![b'b'; 1000]);
    let bytes = (first.len() + second.len()) as u64;
    assert_eq!(send(&upload, 2, second).await, StatusCode::OK);
    let early = s3.complete(&name, &upload, bytes, false).await.unwrap_err();
    assert_eq!((early.kind, s3.find(&name).await.unwrap()), (Kind::Machine, None));
    assert_eq!(send(&upload, 1, first).await, StatusCode::OK);
    let parts = s3.parts(&name, &upload).await.unwrap();
    let sizes: Vec<_> = parts.iter().map(|part| (part.number, part.bytes)).collect();
    assert_eq!(sizes, [(1, 5 << 20), (2, 1000)]);
    assert_eq!(s3.find(&name).await.unwrap(), None);
    s3.complete(&name, &upload, bytes, false).await.unwrap();
    let found = s3.find(&name).await.unwrap().unwrap();
    assert_eq!((found.bytes, &found.notes), (bytes, &notes()));
    assert_eq!(s3.parts(&name, &upload).await.unwrap(), []);

    let again = s3.begin(&name, "video/mp4", BTreeMap::new()).await.unwrap();
    assert_eq!(send(&again, 1, vec![b'c'; 10]).await, StatusCode::OK);
    let taken = s3.complete(&name, &again, 10, false).await.unwrap_err();
    assert_eq!((taken.kind, s3.find(&name).await.unwrap().unwrap()), (Kind::Output, found));
    s3.complete(&name, &again, 10, true).await.unwrap();
    assert_eq!(s3.read(&name).await.unwrap().unwrap(), vec![b'c'; 10]);

    let given_up = s3.begin(&name, "video/mp4", BTreeMap::new()).await.unwrap();
    assert_eq!(send(&given_up, 1, vec![b'd'; 10]).await, StatusCode::OK);
    for _ in 0..2 {
        s3.abort(&name, &given_up).await.unwrap();
    }
    assert_eq!(s3.parts(&name, &given_up).await.unwrap(), []);
    assert_ne!(send(&given_up, 1, vec![b'd'; 10]).await, StatusCode::OK);
    assert!(s3.complete(&name, &given_up, 10, true).await.is_err());
    assert_eq!(s3.read(&name).await.unwrap().unwrap(), vec![b'c'; 10]);
}
