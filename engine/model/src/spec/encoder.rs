//! The encoder table: the only place that sets codec options. Each row makes an encoder whose bits depend
//! on nothing but frames and plan: not on the CPU, nor on what else runs.

use crate::plan::cut::KEYFRAME_INTERVAL;
use crate::spec::codec::{Codec, Encode};

/// How libavcodec is to be set up for one chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// libavcodec's name of the encoder.
    pub encoder: &'static str,
    /// Options by libavcodec's names.
    pub options: Vec<(&'static str, String)>,
    /// Most frames from one keyframe to the next.
    pub keyframe_interval: u32,
}

/// libavcodec's units a step of a quantizer scale (`FF_QP2LAMBDA`).
const LAMBDA: u32 = 118;

impl Encode {
    /// The encoder's set-up with `threads` threads, for a film that runs at `rate` (frames a second,
    /// numerator and denominator; x264 chooses the level by it).
    pub fn row(&self, threads: u32, rate: (i64, i64)) -> Row {
        let keyframe_interval = if self.codec.is_intra_only() { 1 } else { KEYFRAME_INTERVAL };
        let options = match self.codec {
            Codec::H264 => self.x264(threads, rate),
            Codec::Hevc => self.x265(threads),
            Codec::Av1 => vec![
                ("preset", self.preset.clone()),
                ("crf", (self.crf_milli / 1000).to_string()),
                // As many threads as the machine has cores otherwise.
                ("svtav1-params", format!("lp={}", threads.max(1))),
            ],
            Codec::Vp9 => vec![
                ("deadline", "good".to_owned()),
                ("cpu-used", self.preset.clone()),
                ("crf", (self.crf_milli / 1000).to_string()),
                ("b", "0".to_owned()),
                ("threads", threads.max(1).to_string()),
                // Rows side by side: other bits than without, the same with any number of threads.
                ("row-mt", u32::from(threads > 1).to_string()),
                ("auto-alt-ref", "1".to_owned()),
                ("lag-in-frames", "25".to_owned()),
            ],
            Codec::Ffv1 => vec![
                // No number of slices: the encoder then chooses one by the picture's size alone.
                ("level", "3".to_owned()),
                ("slicecrc", "1".to_owned()),
            ],
            Codec::Prores => vec![
                ("profile", self.preset.clone()),
                // Some programs take no other maker's.
                ("vendor", "apl0".to_owned()),
            ],
            Codec::Mjpeg => vec![
                ("flags", "+qscale".to_owned()),
                ("global_quality", (self.crf_milli * LAMBDA / 1000).to_string()),
                // The fast transforms differ between CPUs.
                ("dct", "int".to_owned()),
            ],
        };
        Row { encoder: self.codec.encoder(), options, keyframe_interval }
    }

    fn crf(&self) -> String {
        format!("{}.{:03}", self.crf_milli / 1000, self.crf_milli % 1000)
    }

    fn x264(&self, threads: u32, rate: (i64, i64)) -> Vec<(&'static str, String)> {
        let params = [
            // Other bits at other SIMD levels otherwise.
            "cpu-independent=1".to_owned(),
            // Chunks are joined: closed GOPs, headers that do not depend on pictures.
            "open-gop=0".to_owned(),
            "stitchable=1".to_owned(),
            "sliced-threads=0".to_owned(),
            format!("threads={threads}"),
            "lookahead-threads=1".to_owned(),
            format!("fps={}/{}", rate.0, rate.1),
        ];
        vec![
            ("preset", self.preset.clone()),
            ("crf", self.crf()),
            // Keyframes that the planner forces are IDR pictures.
            ("forced-idr", "1".to_owned()),
            ("x264-params", params.join(":")),
        ]
    }

    fn x265(&self, threads: u32) -> Vec<(&'static str, String)> {
        let params = [
            // A pool on all cores otherwise, even for one thread; frame threads change the bits. With a
            // pool, rows of a picture are coded side by side: the same bits whatever its size.
            match threads {
                0 | 1 => "pools=none".to_owned(),
                threads => format!("pools={threads}"),
            },
            "frame-threads=1".to_owned(),
            "open-gop=0".to_owned(),
            // It would name the CPU in the stream.
            "info=0".to_owned(),
            "log-level=error".to_owned(),
        ];
        vec![
            ("preset", self.preset.clone()),
            ("crf", self.crf()),
            ("forced-idr", "1".to_owned()),
            ("x265-params", params.join(":")),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn option(row: &Row, name: &str) -> String {
        row.options.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone()).unwrap()
    }

    fn encode(codec: Codec, preset: &str, crf_milli: u32) -> Encode {
        Encode { codec, preset: preset.into(), crf_milli, pixels: None }
    }

    #[test]
    fn x264_bits_do_not_depend_on_the_machine() {
        let encode = encode(Codec::H264, "medium", 23_500);
        let row = encode.row(1, (25, 1));
        assert_eq!(option(&row, "crf"), "23.500");
        for part in ["cpu-independent=1", "open-gop=0", "threads=1", "fps=25/1"] {
            assert!(option(&row, "x264-params").split(':').any(|set| set == part), "{part}");
        }
        assert_eq!(encode.reorder(), 2);
    }

    #[test]
    fn x265_has_no_pool_of_the_machines_size() {
        let encode = encode(Codec::Hevc, "fast", 28_000);
        for (threads, pools) in [(1, "pools=none"), (4, "pools=4")] {
            let params = option(&encode.row(threads, (25, 1)), "x265-params");
            for part in [pools, "frame-threads=1", "info=0", "open-gop=0"] {
                assert!(params.split(':').any(|set| set == part), "{part} in {params}");
            }
        }
    }

    #[test]
    fn svt_takes_the_plans_threads_not_the_machines() {
        let row = encode(Codec::Av1, "8", 35_000).row(2, (25, 1));
        assert_eq!(
            (option(&row, "svtav1-params"), option(&row, "crf")),
            ("lp=2".into(), "35".into())
        );
        let row = encode(Codec::Vp9, "4", 31_000).row(1, (25, 1));
        assert_eq!((option(&row, "row-mt"), option(&row, "threads")), ("0".into(), "1".into()));
    }

    #[test]
    fn a_jpegs_quality_is_its_quantizer_scale() {
        let row = encode(Codec::Mjpeg, "", 2_500).row(1, (25, 1));
        assert_eq!(option(&row, "global_quality"), "295");
        assert_eq!(row.keyframe_interval, 1);
    }
}
