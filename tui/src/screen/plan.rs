//! A plan in words: what is done, carried, refused. For the job's page and for the dry run.

use dvp_model::plan::Summary;

use crate::theme::Tone;
use crate::widget::pen::{Line, bit};
use crate::widget::words::{bytes, clean, count, film, number};

/// A line with its label; a label of nothing goes on with the one above.
pub(super) type Labelled = (&'static str, Line);

/// The plan's figures, then what is carried and what is not.
pub(super) fn lines(plan: &Summary) -> Vec<Labelled> {
    let mut lines: Vec<Labelled> = vec![
        (
            "Film",
            vec![bit(
                format!(
                    "{} frames, {}, {}x{}",
                    number(plan.frames),
                    film(plan.duration_us),
                    plan.width,
                    plan.height
                ),
                Tone::Text,
            )],
        ),
        (
            "Output",
            vec![bit(
                format!(
                    "{} in {}{}",
                    clean(&plan.codec),
                    clean(&plan.container),
                    if plan.sound { ", with sound" } else { ", no sound" }
                ),
                Tone::Text,
            )],
        ),
        ("Chunks", vec![bit(chunks(&plan.chunks), Tone::Text)]),
        (
            "A rank",
            vec![bit(
                format!(
                    "{}, up to {} of memory",
                    count(plan.threads_per_chunk as usize, "encoder thread"),
                    bytes(plan.memory_per_rank)
                ),
                Tone::Text,
            )],
        ),
    ];
    lines.extend(list("Carried", &plan.carried, Tone::Good));
    lines.extend(list("Note", &plan.notes, Tone::Warn));
    lines
}

fn list(label: &'static str, texts: &[String], tone: Tone) -> Vec<Labelled> {
    let mut label = Some(label);
    texts.iter().map(|text| (label.take().unwrap_or(""), vec![bit(text.clone(), tone)])).collect()
}

fn chunks(frames: &[u32]) -> String {
    let (least, most) = (frames.iter().min(), frames.iter().max());
    match (least, most) {
        (Some(least), Some(most)) if least != most => {
            format!("{} of {least} to {most} frames", frames.len())
        }
        (Some(least), _) => format!("{} of {}", frames.len(), count(*least as usize, "frame")),
        _ => "none".into(),
    }
}
