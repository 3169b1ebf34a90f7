//! Objects that come in parts: begun, looked at, completed, given up. Who writes the parts has signed URLs.

use std::collections::BTreeMap;

use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use dvp_model::S3Name;
use dvp_model::error::{Kind, Reason};

use super::s3::S3;

/// A part that S3 has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// From 1, without gaps.
    pub number: i32,
    /// What S3 calls its content.
    pub etag: String,
    /// Its length.
    pub bytes: u64,
}

impl S3 {
    /// Begins an object that comes in parts; `notes` are written beside it. The upload's id.
    ///
    /// # Errors
    /// When S3 is away or refuses.
    pub async fn begin(
        &self,
        name: &S3Name,
        kind: &str,
        notes: BTreeMap<String, String>,
    ) -> Result<String, Reason> {
        let begin = self.client.create_multipart_upload().bucket(name.bucket()).key(name.key());
        let notes = notes.into_iter().collect();
        let begun = begin.content_type(kind).set_metadata(Some(notes)).send().await;
        let upload = begun.map_err(|error| self.fault(name, error))?.upload_id;
        upload.ok_or_else(|| self.away(format!("{name}: an upload was begun without an id")))
    }

    /// The parts of an upload that S3 has, in order; of one that is not there (any more) it has none.
    ///
    /// # Errors
    /// When S3 is away or refuses.
    pub async fn parts(&self, name: &S3Name, upload: &str) -> Result<Vec<Part>, Reason> {
        let listing = self.client.list_parts().bucket(name.bucket()).key(name.key());
        let mut pages = listing.upload_id(upload).into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = match page {
                Ok(page) => page,
                Err(error) if is_gone(&error) => return Ok(Vec::new()),
                Err(error) => return Err(self.fault(name, error)),
            };
            found.extend(page.parts.unwrap_or_default().into_iter().map(|part| Part {
                number: part.part_number.unwrap_or(0),
                etag: part.e_tag.unwrap_or_default(),
                bytes: part.size.unwrap_or(0).max(0) as u64,
            }));
        }
        // Not every server gives them in order.
        found.sort_by_key(|part| part.number);
        Ok(found)
    }

    /// Makes the object of all parts that S3 has, which must be `bytes` together. Without `force` an object
    /// that has the name by then stays.
    ///
    /// # Errors
    /// `Output` when the name is taken; `Machine` when parts are missing, or S3 is away or refuses.
    pub async fn complete(
        &self,
        name: &S3Name,
        upload: &str,
        bytes: u64,
        force: bool,
    ) -> Result<(), Reason> {
        let parts = self.parts(name, upload).await?;
        let numbers = parts.iter().map(|part| part.number);
        if !numbers.eq(1..=parts.len() as i32)
            || parts.iter().map(|part| part.bytes).sum::<u64>() != bytes
        {
            return Err(self.away(format!("{name}: not all parts of it are there")));
        }
        let parts = parts
            .into_iter()
            .map(|part| CompletedPart::builder().part_number(part.number).e_tag(part.etag).build());
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts.collect())).build();
        let complete = self.client.complete_multipart_upload().bucket(name.bucket());
        let complete = complete.key(name.key()).upload_id(upload).multipart_upload(parts);
        let only_new = (!force).then(|| "*".to_owned());
        match complete.set_if_none_match(only_new).send().await {
            // The answer may be 200 and hold an error all the same: what counts is what is there.
            Ok(_) => match self.find(name).await? {
                Some(found) if found.bytes == bytes => Ok(()),
                _ => Err(self.away(format!("{name}: it was completed, and is not there"))),
            },
            Err(error) if status(&error) == Some(412) => Err(Reason::new(
                Kind::Output,
                format!(
                    "{name} exists by now: move it away and retry the job, or submit with --force"
                ),
            )),
            Err(error) => Err(self.fault(name, error)),
        }
    }

    /// Gives an upload up: its parts go. One that is not there is no fault.
    ///
    /// # Errors
    /// When S3 is away or refuses.
    pub async fn abort(&self, name: &S3Name, upload: &str) -> Result<(), Reason> {
        let abort = self.client.abort_multipart_upload().bucket(name.bucket()).key(name.key());
        match abort.upload_id(upload).send().await {
            Ok(_) => Ok(()),
            Err(error) if is_gone(&error) => Ok(()),
            // Not every server says it so plainly. Without parts there is nothing to give up.
            Err(_) if self.parts(name, upload).await?.is_empty() => Ok(()),
            Err(error) => Err(self.fault(name, error)),
        }
    }
}

fn status<E>(error: &super::health::Failed<E>) -> Option<u16> {
    error.raw_response().map(|answer| answer.status().as_u16())
}

/// There is no such upload.
fn is_gone<E>(error: &super::health::Failed<E>) -> bool {
    status(error) == Some(404)
}
