//! What becomes of each audio stream: copied or encoded, at which rate and layout.

use crate::error::Reason;
use crate::media::{Audio, Index};
use crate::plan::AudioPlan;
use crate::spec::{AudioChoice, Spec};

/// Sample rates of the AAC encoder.
const AAC_RATES: &[u32] =
    &[96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350];

/// Channel layouts of the AAC encoder, by number of channels from 1.
const AAC_LAYOUTS: &[&str] = &["mono", "stereo", "3.0", "4.0", "5.0", "5.1", "6.1(back)", "7.1"];

/// The plan for one audio stream of a film that is cut as `cut` says (microseconds of source time).
///
/// # Errors
/// `Spec` when the chosen codec does not go with container or cut, `Input` when it can't hold the sound.
pub fn sound(
    audio: &Audio,
    index: &Index,
    spec: &Spec,
    cut: Option<(i64, Option<i64>)>,
    carried: &mut Vec<String>,
    notes: &mut Vec<String>,
) -> Result<AudioPlan, Reason> {
    let holds = spec.container.holds_audio(&audio.codec);
    let (container, input) = (spec.container.name(), &index.identity.path);
    let codec = match spec.audio {
        AudioChoice::Flac => "flac",
        AudioChoice::Aac => "aac",
        AudioChoice::Copy if cut.is_some() => {
            return Err(Reason::spec(
                "sound can't be copied when the film is cut: use aac or flac (convert.audio)",
            ));
        }
        AudioChoice::Copy if !audio.parts.is_empty() => {
            return Err(Reason::spec(
                "sound can't be copied where the file's edit list shows parts of it: use aac or flac \
                 (convert.audio)",
            ));
        }
        AudioChoice::Copy if !holds => {
            return Err(Reason::spec(format!(
                "{container} can't hold {} sound as it is: use aac or flac (convert.audio)",
                audio.codec
            )));
        }
        // Where parts were joined, their sound may overlap; edits begin and end between packets.
        AudioChoice::Auto if !index.video.splices.is_empty() || !audio.parts.is_empty() => "aac",
        AudioChoice::Auto if cut.is_some() || !holds => "aac",
        _ => "copy",
    };
    let (mut sample_rate, mut layout) = (audio.sample_rate, audio.layout.clone());
    let channels = audio.channels as usize;
    if codec == "aac" {
        sample_rate = AAC_RATES.iter().copied().find(|&rate| rate <= sample_rate).unwrap_or(7350);
        if !AAC_LAYOUTS.contains(&layout.as_str()) {
            let fallback = AAC_LAYOUTS.get(channels.wrapping_sub(1)).copied();
            layout = fallback.map(str::to_owned).ok_or_else(|| {
                Reason::input(format!(
                    "{input}: sound with {channels} channels can't be written as aac: use flac"
                ))
            })?;
        }
    }
    if codec == "flac" && channels > 8 {
        return Err(Reason::input(format!(
            "{input}: sound with {channels} channels can't be written as flac"
        )));
    }
    let stream = audio.stream;
    if codec == "copy" {
        carried.push(format!("sound, stream {stream}: {} as it is", audio.codec));
    } else {
        carried.push(format!("sound, stream {stream}: {} as {codec}", audio.codec));
        if (sample_rate, &layout) != (audio.sample_rate, &audio.layout) {
            notes.push(format!(
                "sound, stream {stream}: {} Hz {} becomes {sample_rate} Hz {layout}, which {codec} can hold",
                audio.sample_rate, audio.layout
            ));
        }
    }
    Ok(AudioPlan {
        stream,
        codec: codec.to_owned(),
        sample_rate,
        layout,
        origin_us: cut.map_or(index.start_us, |(start, _)| start),
        window: cut,
        parts: audio.parts.clone(),
        language: audio.language.clone(),
    })
}
