//! `hello`: ranks that only say who they are. What a node must be able to do before it is given work: start,
//! reach rank 0 over MPI, and end.

use std::collections::BTreeMap;
use std::time::Duration;

use dvp_model::Rank;
use dvp_model::wire::worker::{FromWorker, exit};

use super::{Begun, Down, Nap, Up, begin, close, now_ms};
use crate::media;

/// How long all ranks may take to be heard, milliseconds.
const LIMIT_MS: u64 = 20_000;

/// The exit code of this rank. Rank 0 prints [`FromWorker::Hello`].
pub fn hello() -> u8 {
    let Begun { universe, mut lines, mut link, seat, info, parent } = match begin() {
        Ok(begun) => begun,
        Err(code) => return code,
    };
    let deadline_ms = now_ms() + LIMIT_MS;
    let mut nap = Nap::new();
    let mut heard = BTreeMap::from([(info.rank, info.clone())]);
    if link.rank() != 0 {
        link.send(0, &Up::Here(info));
    }
    let code = loop {
        let mut found = false;
        if link.rank() == 0 {
            while let Some((rank, up)) = link.receive::<Up>() {
                found = true;
                if let Up::Here(info) = up {
                    heard.insert(rank, info);
                }
            }
            if heard.len() == link.size() as usize {
                link.send_all(&Down::Close);
                break exit::OK;
            }
        } else if link.receive::<Down>().is_some() {
            break exit::OK;
        }
        link.pump();
        if parent.is_gone() || now_ms() > deadline_ms {
            let silent: Vec<Rank> =
                (0..link.size()).filter(|rank| !heard.contains_key(rank)).collect();
            eprintln!("dvp-worker: rank {} did not hear from {silent:?}", link.rank());
            link.send_all(&Down::Stop(exit::LINK));
            break exit::LINK;
        }
        std::thread::sleep(Duration::from_millis(nap.after(found)));
    };
    if code == exit::OK && link.rank() == 0 {
        let ranks = heard.into_values().collect();
        lines.say(FromWorker::Hello { versions: media::versions(), ranks });
    }
    close(universe, link, seat, Some(lines), code)
}
