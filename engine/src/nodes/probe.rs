//! Reads a machine's figures out of /proc, the cgroup and the file system. Each reading may be missing:
//! then it is zero, and nothing fails.

use std::path::Path;

use dvp_model::error::Reason;
use tokio::io::AsyncReadExt;

use crate::exec::{Invocation, local};

/// Figures of one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures {
    pub ticks: Ticks,
    pub load1: f64,
    pub memory_total: u64,
    pub memory_available: u64,
    pub disk_free: u64,
    pub disk_total: u64,
}

/// Clock ticks of the processors since the machine started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ticks {
    busy: u64,
    all: u64,
}

impl Ticks {
    /// The share that was busy since `before`, 0 to 1.
    pub fn busy_since(&self, before: &Ticks) -> f64 {
        let all = self.all.saturating_sub(before.all);
        let busy = self.busy.saturating_sub(before.busy);
        if all == 0 { 0.0 } else { (busy as f64 / all as f64).min(1.0) }
    }
}

/// Cores that may be used, by affinity and cgroup.
pub fn cores() -> u32 {
    std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32)
}

/// Memory that may be used, bytes: the machine's, or less where a cgroup says so.
pub fn memory_total() -> u64 {
    let machine = meminfo(&read("/proc/meminfo")).0;
    match cgroup_limit() {
        Some(limit) if limit < machine => limit,
        _ => machine,
    }
}

/// Takes figures; disk is that of `folder`.
pub(super) fn figures(folder: &Path) -> Figures {
    let (machine, available) = meminfo(&read("/proc/meminfo"));
    let memory_total = memory_total();
    let disk = rustix::fs::statvfs(folder).ok();
    let of = |blocks: fn(&rustix::fs::StatVfs) -> u64| {
        disk.as_ref().map_or(0, |disk| blocks(disk).saturating_mul(disk.f_frsize))
    };
    let used = machine.saturating_sub(available);
    Figures {
        ticks: ticks(&read("/proc/stat"), allowed_cpus().as_deref()),
        load1: load1(&read("/proc/loadavg")),
        memory_total,
        memory_available: memory_total.saturating_sub(used),
        disk_free: of(|disk| disk.f_bavail),
        disk_total: of(|disk| disk.f_blocks),
    }
}

/// Open MPI's version, as `mpirun --version` states it.
pub(super) async fn mpi_version(mpirun: &Path) -> Result<String, Reason> {
    let invocation =
        Invocation { program: mpirun.to_owned(), args: vec!["--version".into()], env: Vec::new() };
    let mut process = local::spawn(&invocation).map_err(|_| {
        Reason::machine(format!(
            "there is no {}: install Open MPI (apt install openmpi-bin), or give its place in \
             DVP_MPIRUN",
            mpirun.display()
        ))
    })?;
    let mut text = String::new();
    let _ = process.stdout.read_to_string(&mut text).await;
    let _ = process.child.wait().await;
    open_mpi(&text).ok_or_else(|| {
        Reason::machine(format!(
            "{} is not Open MPI's: give the place of Open MPI's in DVP_MPIRUN",
            mpirun.display()
        ))
    })
}

fn open_mpi(text: &str) -> Option<String> {
    let version = text.lines().next()?.strip_prefix("mpirun (Open MPI) ")?;
    Some(version.trim().to_owned())
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// Processors that this process may run on.
fn allowed_cpus() -> Option<Vec<usize>> {
    let set = rustix::thread::sched_getaffinity(None).ok()?;
    Some((0..rustix::thread::CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect())
}

/// Ticks of the allowed processors in /proc/stat; of all, where those can't be told.
fn ticks(stat: &str, allowed: Option<&[usize]>) -> Ticks {
    let mut sum = Ticks::default();
    let mut whole = Ticks::default();
    for line in stat.lines() {
        let Some((name, rest)) = line.split_once(' ') else { continue };
        let Some(number) = name.strip_prefix("cpu") else { continue };
        let fields: Vec<u64> =
            rest.split_whitespace().take(8).map(|field| field.parse().unwrap_or(0)).collect();
        let all: u64 = fields.iter().sum();
        let idle = fields.get(3).unwrap_or(&0) + fields.get(4).unwrap_or(&0);
        let of = Ticks { busy: all.saturating_sub(idle), all };
        match number.parse::<usize>() {
            Err(_) => whole = of,
            Ok(cpu) if allowed.is_some_and(|allowed| allowed.contains(&cpu)) => {
                sum = Ticks { busy: sum.busy + of.busy, all: sum.all + of.all };
            }
            Ok(_) => {}
        }
    }
    if sum.all > 0 { sum } else { whole }
}

fn load1(loadavg: &str) -> f64 {
    loadavg.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(0.0)
}

/// Bytes in all, and bytes that can be had.
fn meminfo(text: &str) -> (u64, u64) {
    let of = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
    };
    (of("MemTotal:").unwrap_or(0), of("MemAvailable:").unwrap_or(0))
}

/// The memory limit of this process's cgroup, version 2 or 1.
fn cgroup_limit() -> Option<u64> {
    let groups = read("/proc/self/cgroup");
    let limits = groups.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let file = match controllers {
            "" => format!("/sys/fs/cgroup{path}/memory.max"),
            "memory" => format!("/sys/fs/cgroup/memory{path}/memory.limit_in_bytes"),
            _ => return None,
        };
        read(&file).trim().parse::<u64>().ok()
    });
    limits.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "cpu  300 0 100 500 100 0 0 0 7 0\n\
                        cpu0 200 0 50 200 50 0 0 0 0 0\n\
                        cpu1 100 0 50 300 50 0 0 0 7 0\n\
                        intr 1\n";

    #[test]
    fn ticks_count_the_allowed_processors() {
        assert_eq!(ticks(STAT, Some(&[1])), Ticks { busy: 150, all: 500 });
        assert_eq!(ticks(STAT, Some(&[0, 1])), Ticks { busy: 400, all: 1000 });
        assert_eq!(ticks(STAT, None), Ticks { busy: 400, all: 1000 });
        assert_eq!(ticks("", None), Ticks::default());
        let later = Ticks { busy: 450, all: 1100 };
        assert_eq!(later.busy_since(&Ticks { busy: 400, all: 1000 }), 0.5);
        assert_eq!(later.busy_since(&later), 0.0);
    }

    #[test]
    fn reads_what_the_kernel_and_mpirun_write() {
        assert_eq!(load1("0.25 0.46 0.50 1/88 368\n"), 0.25);
        let text = "MemTotal:       24684092 kB\nMemFree: 1 kB\nMemAvailable:   24123336 kB\n";
        assert_eq!(meminfo(text), (24_684_092 * 1024, 24_123_336 * 1024));
        assert_eq!(open_mpi("mpirun (Open MPI) 4.1.4\n\nReport").as_deref(), Some("4.1.4"));
        assert_eq!(open_mpi("HYDRA build details:"), None);
    }

    #[test]
    fn this_machine_has_figures() {
        let figures = figures(Path::new("/"));
        assert!(cores() > 0 && figures.memory_total > 0 && figures.disk_total > 0, "{figures:?}");
        assert!(figures.memory_available <= figures.memory_total, "{figures:?}");
        assert!(figures.ticks.all > 0);
    }
}
