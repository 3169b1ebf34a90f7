//! A machine's figures without a program of ours on it: one shell script, and how its words are read.
//! What is missing is zero or empty.

use dvp_model::Millis;
use dvp_model::node::Health;

/// Prints `name value` lines.
pub(super) const SCRIPT: &str = r#"
echo cores $(nproc 2>/dev/null)
echo load $(cut -d' ' -f1 /proc/loadavg)
awk '/^MemTotal:/{print "memory_total", $2} /^MemAvailable:/{print "memory_available", $2}' /proc/meminfo
awk '/^cpu /{print "ticks", $2+$3+$4+$7+$8+$9, $2+$3+$4+$5+$6+$7+$8+$9}' /proc/stat
echo limit $(cat /sys/fs/cgroup/memory.max 2>/dev/null)
echo quota $(cat /sys/fs/cgroup/cpu.max 2>/dev/null)
df -Pk "$HOME" | awk 'NR==2{print "disk", $4, $2}'
echo mpi $(mpirun --version 2>/dev/null | sed -n '1s/^mpirun (Open MPI) //p')
"#;

/// The figures that the script printed, and the processors' ticks (busy, all) for the next time.
pub(super) fn read(text: &str, at: Millis, before: (u64, u64)) -> (Health, (u64, u64)) {
    let word = |name: &str, position: usize| {
        let line = text.lines().find(|line| line.split(' ').next() == Some(name));
        line.and_then(|line| line.split_whitespace().nth(position)).unwrap_or("")
    };
    let number = |name: &str, position: usize| word(name, position).parse::<u64>().ok();
    let kib = |name: &str, position: usize| number(name, position).unwrap_or(0) * 1024;
    let ticks = (number("ticks", 1).unwrap_or(0), number("ticks", 2).unwrap_or(0));
    let (busy, all) = (ticks.0.saturating_sub(before.0), ticks.1.saturating_sub(before.1));
    let (total, available) = (kib("memory_total", 1), kib("memory_available", 1));
    let memory_total = number("limit", 1).map_or(total, |limit| limit.min(total));
    let quota = match (number("quota", 1), number("quota", 2)) {
        (Some(quota), Some(period)) if period > 0 => quota.div_ceil(period) as u32,
        _ => u32::MAX,
    };
    let cores = (number("cores", 1).unwrap_or(1) as u32).min(quota).max(1);
    let health = Health {
        at,
        cores,
        cpu: if all == 0 { 0.0 } else { (busy as f64 / all as f64).min(1.0) },
        load1: word("load", 1).parse().unwrap_or(0.0),
        memory_total,
        memory_available: memory_total.saturating_sub(total.saturating_sub(available)),
        disk_free: kib("disk", 1),
        disk_total: kib("disk", 2),
        mpi: word("mpi", 1).to_owned(),
        fingerprint: String::new(),
    };
    (health, ticks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_script_prints() {
        let text = "cores 8\nload 0.50\nmemory_total 1000\nmemory_available 600\nticks 30 100\n\
                    limit 512000\nquota 150000 100000\ndisk 7 9\nmpi 4.1.4\n";
        let (health, ticks) = read(text, Millis(5), (10, 50));
        assert_eq!((health.cores, health.cpu, health.load1), (2, 0.4, 0.5));
        assert_eq!((health.memory_total, health.memory_available), (512_000, 102_400));
        assert_eq!((health.disk_free, health.disk_total), (7 * 1024, 9 * 1024));
        assert_eq!((health.mpi.as_str(), ticks), ("4.1.4", (30, 100)));
        let (health, _) =
            read("limit max\nquota max 100000\nmemory_total 4\nmpi\n", Millis(0), (0, 0));
        assert_eq!((health.memory_total, health.cores, health.mpi.as_str()), (4096, 1, ""));
    }
}
