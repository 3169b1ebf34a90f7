//! The filter table: which filters may be used with which options, and what each means for cutting a
//! film into chunks. What is not here is refused: names alone are no defence (`curves=plot=` writes a
//! file), so a row lists options and the type of their values too. Checked against FFmpeg 5.1.

/// One allowed filter.
#[derive(Debug)]
pub struct Filter {
    /// libavfilter's name.
    pub name: &'static str,
    /// Its options in libavfilter's order, which is the order of values without a key.
    pub options: &'static [Opt],
    /// What it needs of neighbouring frames.
    pub reach: Reach,
    /// Its floats differ between CPU generations (measured with `-cpuflags`).
    pub cpu_dependent: bool,
}

/// One option of a filter.
#[derive(Debug)]
pub struct Opt {
    /// Its names: the one that is written first, then aliases.
    pub names: &'static [&'static str],
    /// Its values.
    pub value: Value,
}

/// What an option's value may be. None of these can hold a separator, a quote or a path.
#[derive(Debug)]
pub enum Value {
    /// A whole number, ends included.
    Int(i64, i64),
    /// An odd whole number, ends included.
    Odd(i64, i64),
    /// An even whole number, ends included.
    Even(i64, i64),
    /// A decimal number, ends included.
    Num(f64, f64),
    /// One of these words, or the number that libavfilter gives it.
    Word(&'static [(&'static str, i64)]),
    /// 0 or 1, true or false.
    Bool,
    /// Seconds, 0 to 360000.
    Seconds,
    /// A colour: a name in letters, or six hex digits after `#` or `0x`.
    Color,
    /// Numbers between spaces.
    Numbers,
    /// A pixel format out of these.
    Format(&'static [&'static str]),
    /// Known, and refused: why.
    Refused(&'static str),
}

/// What a filter needs of neighbouring frames.
#[derive(Debug)]
pub enum Reach {
    /// Nothing: each frame stands alone.
    Frame,
    /// So many frames before and after.
    Window(u32, u32),
    /// Half the frames that this option names (its default), on both sides.
    Around(&'static str, u32),
    /// One frame less before than this option names (its default).
    Trailing(&'static str, u32),
    /// The frame before; the film's first frame is swallowed.
    Pairs,
    /// All frames before: it can only run in one chunk.
    Recursive,
}

const fn opt(names: &'static [&'static str], value: Value) -> Opt {
    Opt { names, value }
}

const fn still(name: &'static str, options: &'static [Opt]) -> Filter {
    Filter { name, options, reach: Reach::Frame, cpu_dependent: false }
}

const fn temporal(name: &'static str, options: &'static [Opt], reach: Reach) -> Filter {
    Filter { name, options, reach, cpu_dependent: false }
}

const fn by_cpu(name: &'static str, options: &'static [Opt]) -> Filter {
    Filter { name, options, reach: Reach::Frame, cpu_dependent: true }
}

const PLANES: Value = Value::Int(0, 15);
const SIDE: Value = Value::Even(2, 8192);
const AT: Value = Value::Even(0, 8192);
const NUMBERED: &str =
    "it counts frames of the chunk, not of the film: use start_time and duration";
const PARITY: Value = Value::Word(&[("tff", 0), ("bff", 1), ("auto", -1)]);
const DEINT: Value = Value::Word(&[("all", 0), ("interlaced", 1)]);
const BLENDS: Value = Value::Word(&[
    ("normal", 0),
    ("addition", 1),
    ("average", 3),
    ("darken", 5),
    ("difference", 6),
    ("lighten", 12),
    ("multiply", 13),
    ("screen", 20),
    ("subtract", 22),
]);

/// Pixel formats that `format` may ask for.
const FORMATS: Value = Value::Format(&["gray", "yuv420p", "yuv422p", "yuv444p"]);

/// Every allowed filter, by name.
pub const FILTERS: &[Filter] = &[
    temporal(
        "atadenoise",
        &[
            opt(&["0a"], Value::Num(0.0, 0.3)),
            opt(&["0b"], Value::Num(0.0, 5.0)),
            opt(&["1a"], Value::Num(0.0, 0.3)),
            opt(&["1b"], Value::Num(0.0, 5.0)),
            opt(&["2a"], Value::Num(0.0, 0.3)),
            opt(&["2b"], Value::Num(0.0, 5.0)),
            opt(&["s"], Value::Odd(5, 129)),
            opt(&["p"], PLANES),
            opt(&["a"], Value::Word(&[("p", 0), ("s", 1)])),
            opt(&["0s"], Value::Num(0.0, 32767.0)),
            opt(&["1s"], Value::Num(0.0, 32767.0)),
            opt(&["2s"], Value::Num(0.0, 32767.0)),
        ],
        Reach::Around("s", 9),
    ),
    still(
        "avgblur",
        &[
            opt(&["sizeX"], Value::Int(1, 1024)),
            opt(&["planes"], PLANES),
            opt(&["sizeY"], Value::Int(0, 1024)),
        ],
    ),
    still(
        "boxblur",
        &[
            opt(&["luma_radius", "lr"], Value::Int(0, 64)),
            opt(&["luma_power", "lp"], Value::Int(0, 16)),
            opt(&["chroma_radius", "cr"], Value::Int(0, 64)),
            opt(&["chroma_power", "cp"], Value::Int(-1, 16)),
            opt(&["alpha_radius", "ar"], Value::Int(0, 64)),
            opt(&["alpha_power", "ap"], Value::Int(-1, 16)),
        ],
    ),
    temporal(
        "bwdif",
        &[
            // Its default doubles the frames, so the mode must be named: see `filter::check`.
            opt(&["mode"], Value::Word(&[("send_frame", 0)])),
            opt(&["parity"], PARITY),
            opt(&["deint"], DEINT),
        ],
        Reach::Window(1, 1),
    ),
    still("cas", &[opt(&["strength"], Value::Num(0.0, 1.0)), opt(&["planes"], PLANES)]),
    still(
        "colorbalance",
        &[
            opt(&["rs"], Value::Num(-1.0, 1.0)),
            opt(&["gs"], Value::Num(-1.0, 1.0)),
            opt(&["bs"], Value::Num(-1.0, 1.0)),
            opt(&["rm"], Value::Num(-1.0, 1.0)),
            opt(&["gm"], Value::Num(-1.0, 1.0)),
            opt(&["bm"], Value::Num(-1.0, 1.0)),
            opt(&["rh"], Value::Num(-1.0, 1.0)),
            opt(&["gh"], Value::Num(-1.0, 1.0)),
            opt(&["bh"], Value::Num(-1.0, 1.0)),
            opt(&["pl"], Value::Bool),
        ],
    ),
    still(
        "crop",
        &[opt(&["w", "out_w"], SIDE), opt(&["h", "out_h"], SIDE), opt(&["x"], AT), opt(&["y"], AT)],
    ),
    still(
        "curves",
        &[
            opt(
                &["preset"],
                Value::Word(&[
                    ("none", 0),
                    ("color_negative", 1),
                    ("cross_process", 2),
                    ("darker", 3),
                    ("increase_contrast", 4),
                    ("lighter", 5),
                    ("linear_contrast", 6),
                    ("medium_contrast", 7),
                    ("negative", 8),
                    ("strong_contrast", 9),
                    ("vintage", 10),
                ]),
            ),
            opt(&["plot"], Value::Refused("it writes a file")),
            opt(&["psfile"], Value::Refused("it reads a file")),
        ],
    ),
    still(
        "edgedetect",
        &[
            opt(&["high"], Value::Num(0.0, 1.0)),
            opt(&["low"], Value::Num(0.0, 1.0)),
            opt(&["mode"], Value::Word(&[("wires", 0), ("colormix", 1), ("canny", 2)])),
        ],
    ),
    still(
        "eq",
        &[
            opt(&["contrast"], Value::Num(-1000.0, 1000.0)),
            opt(&["brightness"], Value::Num(-1.0, 1.0)),
            opt(&["saturation"], Value::Num(0.0, 3.0)),
            opt(&["gamma"], Value::Num(0.1, 10.0)),
            opt(&["gamma_r"], Value::Num(0.1, 10.0)),
            opt(&["gamma_g"], Value::Num(0.1, 10.0)),
            opt(&["gamma_b"], Value::Num(0.1, 10.0)),
            opt(&["gamma_weight"], Value::Num(0.0, 1.0)),
        ],
    ),
    still(
        "fade",
        &[
            opt(&["type", "t"], Value::Word(&[("in", 0), ("out", 1)])),
            opt(&["start_frame", "s"], Value::Refused(NUMBERED)),
            opt(&["nb_frames", "n"], Value::Refused(NUMBERED)),
            opt(&["alpha"], Value::Bool),
            opt(&["start_time", "st"], Value::Seconds),
            opt(&["duration", "d"], Value::Seconds),
            opt(&["color", "c"], Value::Color),
        ],
    ),
    still("format", &[opt(&["pix_fmts"], FORMATS)]),
    by_cpu(
        "gblur",
        &[
            opt(&["sigma"], Value::Num(0.0, 1024.0)),
            opt(&["steps"], Value::Int(1, 6)),
            opt(&["planes"], PLANES),
            opt(&["sigmaV"], Value::Num(-1.0, 1024.0)),
        ],
    ),
    still("hflip", &[]),
    temporal(
        "hqdn3d",
        &[
            opt(&["luma_spatial"], Value::Num(0.0, 255.0)),
            opt(&["chroma_spatial"], Value::Num(0.0, 255.0)),
            opt(&["luma_tmp"], Value::Num(0.0, 255.0)),
            opt(&["chroma_tmp"], Value::Num(0.0, 255.0)),
        ],
        Reach::Recursive,
    ),
    still(
        "hue",
        &[
            opt(&["h"], Value::Num(-360.0, 360.0)),
            opt(&["s"], Value::Num(-10.0, 10.0)),
            opt(&["H"], Value::Num(-10.0, 10.0)),
            opt(&["b"], Value::Num(-10.0, 10.0)),
        ],
    ),
    still(
        "limiter",
        &[
            opt(&["min"], Value::Int(0, 65535)),
            opt(&["max"], Value::Int(0, 65535)),
            opt(&["planes"], PLANES),
        ],
    ),
    still(
        "median",
        &[
            opt(&["radius"], Value::Int(1, 127)),
            opt(&["planes"], PLANES),
            opt(&["radiusV"], Value::Int(0, 127)),
            opt(&["percentile"], Value::Num(0.0, 1.0)),
        ],
    ),
    still(
        "negate",
        &[
            opt(
                &["components"],
                Value::Refused("it depends on the picture's format: leave it out"),
            ),
            opt(&["negate_alpha"], Value::Bool),
        ],
    ),
    still(
        "nlmeans",
        &[
            opt(&["s"], Value::Num(1.0, 30.0)),
            opt(&["p"], Value::Odd(1, 99)),
            opt(&["pc"], Value::Odd(1, 99)),
            opt(&["r"], Value::Odd(1, 99)),
            opt(&["rc"], Value::Odd(1, 99)),
        ],
    ),
    still(
        "pad",
        &[
            opt(&["width", "w"], SIDE),
            opt(&["height", "h"], SIDE),
            opt(&["x"], AT),
            opt(&["y"], AT),
            opt(&["color"], Value::Color),
        ],
    ),
    by_cpu(
        "smartblur",
        &[
            opt(&["luma_radius", "lr"], Value::Num(0.1, 5.0)),
            opt(&["luma_strength", "ls"], Value::Num(-1.0, 1.0)),
            opt(&["luma_threshold", "lt"], Value::Int(-30, 30)),
            opt(&["chroma_radius", "cr"], Value::Num(-0.9, 5.0)),
            opt(&["chroma_strength", "cs"], Value::Num(-2.0, 1.0)),
            opt(&["chroma_threshold", "ct"], Value::Int(-31, 30)),
        ],
    ),
    still(
        "sobel",
        &[
            opt(&["planes"], PLANES),
            opt(&["scale"], Value::Num(0.0, 65535.0)),
            opt(&["delta"], Value::Num(-65535.0, 65535.0)),
        ],
    ),
    temporal(
        "tblend",
        &[
            opt(&["c0_mode"], BLENDS),
            opt(&["c1_mode"], BLENDS),
            opt(&["c2_mode"], BLENDS),
            opt(&["c3_mode"], BLENDS),
            opt(&["all_mode"], BLENDS),
        ],
        Reach::Pairs,
    ),
    temporal(
        "tmix",
        &[
            opt(&["frames"], Value::Int(1, 128)),
            opt(&["weights"], Value::Numbers),
            opt(&["scale"], Value::Num(0.0, 32767.0)),
        ],
        Reach::Trailing("frames", 3),
    ),
    still(
        "transpose",
        &[opt(
            &["dir"],
            Value::Word(&[("cclock_flip", 0), ("clock", 1), ("cclock", 2), ("clock_flip", 3)]),
        )],
    ),
    still(
        "unsharp",
        &[
            opt(&["luma_msize_x", "lx"], Value::Odd(3, 23)),
            opt(&["luma_msize_y", "ly"], Value::Odd(3, 23)),
            opt(&["luma_amount", "la"], Value::Num(-2.0, 5.0)),
            opt(&["chroma_msize_x", "cx"], Value::Odd(3, 23)),
            opt(&["chroma_msize_y", "cy"], Value::Odd(3, 23)),
            opt(&["chroma_amount", "ca"], Value::Num(-2.0, 5.0)),
        ],
    ),
    still("vflip", &[]),
    still(
        "vibrance",
        &[
            opt(&["intensity"], Value::Num(-2.0, 2.0)),
            opt(&["rbal"], Value::Num(-10.0, 10.0)),
            opt(&["gbal"], Value::Num(-10.0, 10.0)),
            opt(&["bbal"], Value::Num(-10.0, 10.0)),
        ],
    ),
    temporal(
        "yadif",
        &[
            opt(&["mode"], Value::Word(&[("send_frame", 0), ("send_frame_nospatial", 2)])),
            opt(&["parity"], PARITY),
            opt(&["deint"], DEINT),
        ],
        Reach::Window(1, 1),
    ),
];

/// Filters that people reach for and that are refused, with the reason.
pub const REFUSED: &[(&str, &str)] = &[
    ("movie", "it reads another file"),
    ("amovie", "it reads another file"),
    ("subtitles", "it reads another file"),
    ("ass", "it reads another file"),
    ("lut3d", "it reads another file"),
    ("drawtext", "it can read another file"),
    ("metadata", "it can write a file"),
    ("sendcmd", "it can read another file"),
    ("zmq", "it opens a network port"),
    ("fps", "it changes the number of frames"),
    ("framestep", "it changes the number of frames"),
    ("framerate", "it changes the number of frames"),
    ("minterpolate", "it changes the number of frames"),
    ("select", "it changes the number of frames"),
    ("decimate", "it changes the number of frames"),
    ("mpdecimate", "it changes the number of frames"),
    ("telecine", "it changes the number of frames"),
    ("tinterlace", "it changes the number of frames"),
    ("interlace", "it changes the number of frames"),
    ("loop", "it changes the number of frames"),
    ("reverse", "it holds the whole film in memory"),
    ("trim", "it changes the number of frames: use the task cut"),
    ("setpts", "it changes timestamps"),
    ("scale", "sizes are the task resize's: use that"),
    ("null", "it does nothing"),
];
