//! Checks the filters of a spec before any of them runs: that each is allowed, and that crop and pad go
//! with the film's size.

use crate::error::Reason;
use crate::media::Index;
use crate::spec::{Spec, Step, filter};

/// Checks every filter step.
///
/// # Errors
/// Those of [`filter::check`] and [`filter::size_after`].
pub fn check(index: &Index, spec: &Spec) -> Result<(), Reason> {
    let video = &index.video;
    let turned = video.rotation % 180 == 90;
    // Unknown behind a resize that leaves a side to the aspect: then the filters' own word counts.
    let mut size =
        Some(if turned { (video.height, video.width) } else { (video.width, video.height) });
    for step in &spec.steps {
        match step {
            Step::Cut { .. } => {}
            Step::Resize { width, height } => size = width.zip(*height),
            Step::Filter { graph } => {
                filter::check(graph)?;
                size = match size {
                    Some((width, height)) => Some(filter::size_after(graph, width, height)?),
                    None => None,
                };
            }
        }
    }
    Ok(())
}
