//! Ready-made filter graphs by name. Each passes the filter table like a graph that a user writes.

/// The names, as `filter.preset` takes them.
pub const NAMES: &[&str] = &["grayscale", "edges", "blur", "denoise", "sharpen", "deinterlace"];

/// The graph of a preset.
pub fn graph(name: &str) -> Option<&'static str> {
    Some(match name {
        "grayscale" => "hue=s=0",
        // The edges come as gray pictures, which few players take.
        "edges" => "edgedetect=low=0.1:high=0.3,format=pix_fmts=yuv420p",
        // Not gblur: its floats differ between CPUs.
        "blur" => "boxblur=luma_radius=2:luma_power=2",
        // Not hqdn3d: it is recursive, and would have to run in one chunk.
        "denoise" => "atadenoise",
        "sharpen" => "unsharp=luma_msize_x=5:luma_msize_y=5:luma_amount=1",
        "deinterlace" => "yadif=mode=send_frame",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_an_allowed_graph_and_written_normally() {
        for name in NAMES {
            let graph = graph(name).unwrap();
            let checked = crate::spec::filter::check(graph).unwrap();
            assert_eq!(checked.graph, graph);
            assert_eq!(checked.one_chunk, None);
            assert!(!checked.cpu_dependent);
        }
        assert_eq!(graph("none such"), None);
    }
}
