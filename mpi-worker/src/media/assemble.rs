//! Joins accepted objects into the output: all there, unharmed, of one mind about their seams, then
//! written, opened again and checked. What fails leaves no file. Knows nothing of who computed what.

use std::io;
use std::path::Path;

use dvp_model::error::{Kind, Reason};
use dvp_model::plan::Plan;
use dvp_model::wire::worker::{Accepted, AssembleRequest, Assembled, Locator, Witness};
use dvp_model::{ChunkIndex, FilePath, Item};

use super::AssembleFault;
use super::join::{self, Join};
use super::lane::Broken;
use super::object::{self, Reader, Shape, Stream};
use super::verify;

/// Joins the objects of a request into its output, verified and flushed. `progress(done, total)` counts
/// pictures written, then pictures checked.
///
/// # Errors
/// With the items that must be computed again, if objects are why: missing, damaged, of another plan, or
/// in disagreement with their neighbours. `Machine` when writing fails, `Output` when the place is unfit,
/// `Bug` when what was written is not what was planned. No output is left then.
pub fn assemble(
    request: &AssembleRequest,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Assembled, AssembleFault> {
    let plan = &request.plan;
    let objects = Objects::gather(request)?;
    objects.check_reports(plan)?;
    objects.check_seams()?;
    let streams = objects.streams(plan)?;
    let total = plan.frames() * 2;
    let partial = Partial::new(&request.output);
    let written = join::run(
        &Join {
            plan,
            chunks: &objects.chunks,
            sound: objects.sound,
            streams: &streams,
            output: &request.output,
        },
        &mut |done| progress(done, total),
    )
    .map_err(|broken| objects.blame(broken))?;
    verify::check(plan, &written, &request.output, &mut |done| {
        progress(plan.frames() + done, total);
    })?;
    let (sha256, bytes) = object::sha256_of(request.output.as_path(), |_| {
        progress(total, total);
    })
    .map_err(|error| Reason::machine(format!("{} can't be read back: {error}", request.output)))?;
    partial.keep();
    Ok(Assembled { sha256, bytes, frames: plan.frames() })
}

/// Where an accepted object lies.
pub fn place(accepted: &Accepted) -> &Path {
    match &accepted.object {
        Locator::File(path) => path.as_path(),
        // Nothing is stored there yet: it is missing, by its name.
        Locator::S3(name) => Path::new(name.key()),
    }
}

/// An output that is not whole yet: removed unless kept.
struct Partial<'a>(Option<&'a FilePath>);

impl<'a> Partial<'a> {
    fn new(path: &'a FilePath) -> Self {
        Self(Some(path))
    }

    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Partial<'_> {
    fn drop(&mut self) {
        if let Some(path) = self.0 {
            // What can't be removed here is swept with the run's folder.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// One accepted object an item of the plan.
struct Objects<'a> {
    chunks: Vec<&'a Accepted>,
    sound: Option<&'a Accepted>,
}

fn chunk(at: usize) -> Item {
    Item::Chunk(ChunkIndex(at as u32))
}

fn again(damaged: Vec<Item>, why: impl std::fmt::Display) -> AssembleFault {
    let names: Vec<String> = damaged.iter().take(4).map(Item::to_string).collect();
    let more = match damaged.len() - names.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let reason =
        Reason::machine(format!("{why}: {}{more} must be computed again", names.join(", ")));
    AssembleFault { reason, damaged }
}

impl<'a> Objects<'a> {
    fn gather(request: &'a AssembleRequest) -> Result<Self, AssembleFault> {
        let mut objects = Self { chunks: Vec::new(), sound: None };
        let (mut missing, mut why) = (Vec::new(), String::new());
        for item in request.plan.items() {
            let accepted = request.objects.iter().find(|accepted| accepted.item == item);
            match (present(accepted), item) {
                (Ok(accepted), Item::Chunk(_)) => objects.chunks.push(accepted),
                (Ok(accepted), Item::Sound) => objects.sound = Some(accepted),
                (Err(fault), _) => {
                    missing.push(item);
                    why = fault;
                }
            }
        }
        if missing.is_empty() { Ok(objects) } else { Err(again(missing, why)) }
    }

    /// What the reports say agrees with the plan.
    fn check_reports(&self, plan: &Plan) -> Result<(), AssembleFault> {
        let mut stamps = plan.video.stamps.iter();
        let mut wrong = Vec::new();
        for (at, (planned, accepted)) in plan.chunks.iter().zip(&self.chunks).enumerate() {
            let first = stamps.next();
            let last = match planned.frames {
                0 | 1 => first,
                frames => stamps.nth(frames as usize - 2),
            };
            let report = &accepted.report;
            let frames = report.frames == u64::from(planned.frames);
            if !frames || Some(report.span.0) != first || Some(report.span.1) != last {
                wrong.push(chunk(at));
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(again(wrong, "other frames than planned")) }
    }

    /// Neighbours saw the same frames on both sides of their seam.
    fn check_seams(&self) -> Result<(), AssembleFault> {
        let mut wrong = Vec::new();
        for (at, pair) in self.chunks.windows(2).enumerate() {
            if !agree(&pair[0].report.witness, &pair[1].report.witness) {
                wrong.extend([chunk(at), chunk(at + 1)]);
            }
        }
        wrong.dedup();
        if wrong.is_empty() {
            return Ok(());
        }
        Err(again(wrong, "neighbouring chunks saw different frames at their seam"))
    }

    /// Coded parameters of the output's tracks: the pictures', which all chunks share, then the sound's.
    fn streams(&self, plan: &Plan) -> Result<Vec<Stream>, AssembleFault> {
        let hash = plan.hash();
        let mut streams: Vec<Stream> = Vec::new();
        for (at, accepted) in self.chunks.iter().enumerate() {
            let [stream] = <[Stream; 1]>::try_from(header(accepted, &hash)?).map_err(|found| {
                again(vec![chunk(at)], format!("{} streams in a chunk", found.len()))
            })?;
            check_pictures(plan, &stream).map_err(|what| again(vec![chunk(at)], what))?;
            match streams.first() {
                None => streams.push(stream),
                Some(first) if *first == stream => {}
                Some(first) => {
                    let what = if first.extradata == stream.extradata {
                        "other codec parameters than chunk 0"
                    } else {
                        "other codec headers (extradata) than chunk 0, so that they can't be joined"
                    };
                    return Err(again(vec![chunk(at)], what));
                }
            }
        }
        if let Some(accepted) = self.sound {
            let sound = header(accepted, &hash)?;
            let audio = |stream: &Stream| matches!(stream.shape, Shape::Audio { .. });
            if sound.len() != plan.audio.len() || !sound.iter().all(audio) {
                return Err(again(vec![Item::Sound], "other audio streams than planned"));
            }
            streams.extend(sound);
        }
        Ok(streams)
    }

    /// Why joining broke: objects that changed since they were accepted, or else what it says.
    fn blame(&self, broken: Broken) -> AssembleFault {
        let reason = match &broken {
            Broken::Object(_, fault) => Reason::machine(fault.to_string()),
            Broken::Reason(reason) => reason.clone(),
        };
        if matches!(broken, Broken::Reason(_)) && reason.kind != Kind::Bug {
            return reason.into();
        }
        let all = self.sound.iter().chain(&self.chunks);
        let mut damaged: Vec<Item> = all
            .filter(|accepted| {
                let found = object::sha256_of(place(accepted), |_| ());
                !found.is_ok_and(|(sha256, _)| sha256 == accepted.sha256)
            })
            .map(|accepted| accepted.item)
            .collect();
        if let (Broken::Object(item, _), true) = (&broken, damaged.is_empty()) {
            damaged.push(*item);
        }
        if damaged.is_empty() { reason.into() } else { again(damaged, reason) }
    }
}

/// The object of an accepted item, which has the length that it had when it was accepted.
fn present(accepted: Option<&Accepted>) -> Result<&Accepted, String> {
    let accepted = accepted.ok_or("not all items are accepted")?;
    match std::fs::metadata(place(accepted)) {
        Ok(file) if file.len() == accepted.report.size => Ok(accepted),
        Ok(_) => Err("objects changed their length since they were accepted".to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err("objects are gone".to_owned()),
        Err(error) => Err(format!("objects can't be read ({error})")),
    }
}

/// The right chunk's first picture is the one that the left chunk decoded after its own. The picture
/// before it is compared too where the right chunk saw it: one that begins at an entry point does not.
fn agree(left: &Witness, right: &Witness) -> bool {
    let first = left.after.is_some() && left.after == right.first;
    first && (right.before.is_none() || right.before == left.last)
}

/// The streams of an object, which must be the item's own and of this plan.
fn header(accepted: &Accepted, plan: &str) -> Result<Vec<Stream>, AssembleFault> {
    let item = accepted.item;
    let reader = Reader::open(place(accepted)).map_err(|fault| again(vec![item], fault))?;
    let header = reader.header();
    if header.item != item {
        return Err(again(vec![item], format!("the object of {} in its place", header.item)));
    }
    if header.plan != plan {
        return Err(again(vec![item], "an object of another plan"));
    }
    Ok(header.streams.clone())
}

/// The pictures in a chunk are what the plan says.
fn check_pictures(plan: &Plan, stream: &Stream) -> Result<(), String> {
    let (video, codec) = (&plan.video, plan.spec.encode.codec.name());
    let Shape::Video { width, height, format, .. } = &stream.shape else {
        return Err("sound in a chunk".to_owned());
    };
    let found = (stream.codec.as_str(), *width, *height, format.as_str());
    let coded = plan.spec.encode.coded_format(&video.format);
    if found == (codec, video.width, video.height, &*coded) {
        return Ok(());
    }
    Err(format!("pictures that are {} {width}x{height} {format}", stream.codec))
}
