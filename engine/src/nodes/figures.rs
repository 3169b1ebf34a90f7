//! A machine's figures without a program of ours on it: shell scripts, and how their words are read. What is
//! missing is zero or empty.

use dvp_model::Millis;
use dvp_model::node::Health;

use crate::launch::spread::worker_path;

/// Prints `name value` lines. Limits are those of the session's cgroup, version 2 or 1.
const SCRIPT: &str = r#"
g=$(sed -n 's/^0:://p' /proc/self/cgroup)
c() { for f in "/sys/fs/cgroup$g/$1" "/sys/fs/cgroup/$1" "/sys/fs/cgroup/$2"; do [ -r "$f" ] && cat "$f" && return; done; }
echo clock $(date +%s%N)
echo cores $(nproc)
echo load $(cut -d' ' -f1 /proc/loadavg)
awk '/^MemTotal:/{print "memory_total", $2} /^MemAvailable:/{print "memory_available", $2}' /proc/meminfo
awk '/^cpu /{print "ticks", $2+$3+$4+$7+$8+$9, $2+$3+$4+$5+$6+$7+$8+$9}' /proc/stat
echo limit $(c memory.max memory/memory.limit_in_bytes)
echo used $(c memory.current memory/memory.usage_in_bytes)
echo cache $(c memory.stat memory/memory.stat | awk '$1=="inactive_file" || $1=="total_inactive_file"{n=$2} END{print n}')
echo quota $(c cpu.max cpu/cpu.cfs_quota_us) $(c cpu.none cpu/cpu.cfs_period_us)
df -Pk "$HOME" | awk 'NR==2{print "disk", $4, $2}'
echo gpu $(sed -n 's/^Model:[[:space:]]*//p' /proc/driver/nvidia/gpus/*/information)
"#;

/// What to run for the figures; with a worker's content hash also for the programs, which is dearer.
pub(super) fn script(worker: Option<&str>) -> String {
    let programs = worker.map(|hash| {
        format!(
            "echo mpi $(mpirun --version | sed -n '1s/^mpirun (Open MPI) //p')\n\
             f={}; [ -x \"$f\" ] && \"$f\" versions | sed 's/.*\"fingerprint\":\"\\([0-9a-f]*\\)\".*/fingerprint \\1/'\n",
            worker_path(hash)
        )
    });
    format!("{{ {SCRIPT}{}}} 2>/dev/null; true", programs.unwrap_or_default())
}

/// What a machine's words are compared with.
#[derive(Clone, Debug, Default)]
pub(super) struct Before {
    /// Ticks of its processors: busy, and all.
    pub ticks: (u64, u64),
    /// Open MPI's version.
    pub mpi: String,
    /// The worker's fingerprint.
    pub fingerprint: String,
}

/// The figures that the script printed at `at` by the store's clock and `clock_ns` by ours, and what the next
/// ones are to be compared with.
pub(super) fn read(text: &str, at: Millis, clock_ns: i128, before: &Before) -> (Health, Before) {
    let rest = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map(str::trim)
    };
    let word = |name: &str, position: usize| {
        rest(name).and_then(|rest| rest.split_whitespace().nth(position)).unwrap_or("")
    };
    let number = |name: &str, position: usize| word(name, position).parse::<u64>().ok();
    let kib = |name: &str, position: usize| number(name, position).unwrap_or(0) * 1024;
    let ticks = (number("ticks", 0).unwrap_or(0), number("ticks", 1).unwrap_or(0));
    let busy = ticks.0.saturating_sub(before.ticks.0);
    let all = ticks.1.saturating_sub(before.ticks.1);
    let (total, available) = (kib("memory_total", 0), kib("memory_available", 0));
    let limit = number("limit", 0).filter(|limit| *limit < total);
    let used = number("used", 0).unwrap_or(0).saturating_sub(number("cache", 0).unwrap_or(0));
    let quota = match (number("quota", 0), number("quota", 1)) {
        (Some(quota), Some(period)) if period > 0 => quota.div_ceil(period) as u32,
        _ => u32::MAX,
    };
    let known = |name: &str, before: &str| rest(name).unwrap_or(before).to_owned();
    let next = Before {
        ticks,
        mpi: known("mpi", &before.mpi),
        fingerprint: known("fingerprint", &before.fingerprint),
    };
    let ahead = word("clock", 0).parse::<i128>().ok().map(|there| (there - clock_ns) / 1_000_000);
    let health = Health {
        at,
        cores: (number("cores", 0).unwrap_or(1) as u32).min(quota).max(1),
        cpu: if all == 0 { 0.0 } else { (busy as f64 / all as f64).min(1.0) },
        load1: word("load", 0).parse().unwrap_or(0.0),
        memory_total: limit.unwrap_or(total),
        memory_available: limit
            .map_or(available, |limit| available.min(limit.saturating_sub(used))),
        disk_free: kib("disk", 0),
        disk_total: kib("disk", 1),
        mpi: next.mpi.clone(),
        fingerprint: next.fingerprint.clone(),
        clock_ahead_ms: ahead.map(|ms| ms as i64),
        gpu: rest("gpu").unwrap_or("").to_owned(),
    };
    (health, next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_script_prints() {
        let text = "clock 1700000002500000000\ncores 8\nload 0.50\nmemory_total 1000\nmemory_available 600\n\
                    ticks 30 100\nlimit 512000\nused 400000\ncache 100000\nquota 150000 100000\ndisk 7 9\ngpu\n\
                    mpi 4.1.4\nfingerprint abc\n";
        let before = Before { ticks: (10, 50), ..Before::default() };
        let (health, next) = read(text, Millis(5), 1_700_000_000_000_000_000, &before);
        assert_eq!((health.cores, health.cpu, health.load1), (2, 0.4, 0.5));
        assert_eq!((health.memory_total, health.memory_available), (512_000, 212_000));
        assert_eq!((health.disk_free, health.disk_total), (7 * 1024, 9 * 1024));
        assert_eq!((health.mpi.as_str(), health.gpu.as_str()), ("4.1.4", ""));
        assert_eq!((health.clock_ahead_ms, health.fingerprint.as_str()), (Some(2500), "abc"));
        assert_eq!(next.ticks, (30, 100));
        // The programs are not asked each time; limits may be none.
        let text = "limit max\nquota max 100000\nmemory_total 4\nmemory_available 3\n";
        let (health, _) = read(text, Millis(0), 0, &next);
        assert_eq!((health.memory_total, health.memory_available), (4096, 3072));
        assert_eq!((health.cores, health.mpi.as_str()), (1, "4.1.4"));
        let (health, _) = read("quota -1 100000\ncores 3\nmpi \n", Millis(0), 0, &next);
        assert_eq!((health.cores, health.mpi.as_str(), health.clock_ahead_ms), (3, "", None));
    }
}
