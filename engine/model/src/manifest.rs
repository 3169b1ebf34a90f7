//! The proof beside the output: `<output>.dvp.json`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{Epoch, JobId, NodeName};
use crate::job::Output;
use crate::media::Identity;
use crate::spec::Spec;
use crate::time::Millis;

/// What was done, by whom, with which hashes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Manifest {
    /// Format of this file: 1.
    pub version: u32,
    /// The job.
    pub job: JobId,
    /// Which file was read.
    pub input: Identity,
    /// What was asked.
    pub spec: Spec,
    /// Hash of the plan.
    pub plan: String,
    /// The environment.
    pub fingerprint: String,
    /// Hashes of the chunk objects, in order.
    pub chunks: Vec<String>,
    /// Hash of the sound's object.
    pub sound: Option<String>,
    /// The file.
    pub output: Output,
    /// The last epoch.
    pub epoch: Epoch,
    /// Ranks of the last launch.
    pub ranks: u32,
    /// Nodes that worked.
    pub nodes: Vec<NodeName>,
    /// What was carried.
    pub carried: Vec<String>,
    /// What was not, or was done differently.
    pub notes: Vec<String>,
    /// What ranks remarked.
    pub remarks: Vec<String>,
    /// When it was published.
    pub published_at: Millis,
}
