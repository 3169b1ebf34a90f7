//! Whether the machines reach each other: each logs in to the others as mpirun would, with the forwarded agent
//! and known host keys. All pairs up to 16 machines; above that the head to all, and one more in turn.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dvp_model::NodeName;
use dvp_model::error::Reason;
use dvp_model::node::{Link, Member, Pair};
use futures::future::join_all;

use super::line;
use crate::engine::Engine;
use crate::exec::ssh;
use crate::launch::spread;

/// Up to so many machines all pairs are tried in each round.
pub const FULL: usize = 16;
/// How long a round of one machine may take.
const PATIENCE: Duration = Duration::from_secs(25);

/// What is known of the pairs.
#[derive(Debug, Default)]
pub struct Mesh {
    pairs: Mutex<BTreeMap<(NodeName, NodeName), Link>>,
    turn: Mutex<usize>,
}

impl Mesh {
    fn known(&self) -> MutexGuard<'_, BTreeMap<(NodeName, NodeName), Link>> {
        self.pairs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All pairs that were tried, by name.
    pub fn pairs(&self) -> Vec<Pair> {
        let known = self.known();
        let pair = |((from, to), link): (&(NodeName, NodeName), &Link)| Pair {
            from: from.clone(),
            to: to.clone(),
            link: link.clone(),
        };
        known.iter().map(pair).collect()
    }

    /// The machines out of those that count which others don't reach, with the reason; `head` last.
    pub fn cut_off(
        &self,
        head: Option<&NodeName>,
        counts: impl Fn(&NodeName) -> bool,
    ) -> BTreeMap<NodeName, Reason> {
        let known = self.known();
        let faults = known.iter().filter_map(|((from, to), link)| match link {
            Link::Down { reason, .. } if counts(from) && counts(to) => {
                Some((from.clone(), to.clone(), reason.clone()))
            }
            _ => None,
        });
        cut_off(faults.collect(), head)
    }

    /// Forgets pairs of machines that are no more.
    pub(super) fn keep(&self, names: &BTreeSet<&NodeName>) {
        self.known().retain(|(from, to), _| names.contains(from) && names.contains(to));
    }

    fn next_turn(&self) -> usize {
        let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        *turn = turn.wrapping_add(1);
        *turn
    }
}

/// Leaves out, one by one, the machine with most faults until none is left: of two with as many, the one that is
/// not the head, then the one that was not reached.
fn cut_off(
    mut faults: Vec<(NodeName, NodeName, Reason)>,
    head: Option<&NodeName>,
) -> BTreeMap<NodeName, Reason> {
    let mut out = BTreeMap::new();
    loop {
        let mut weight: BTreeMap<&NodeName, (usize, bool, usize)> = BTreeMap::new();
        for (from, to, _) in &faults {
            for name in [from, to] {
                let entry = weight.entry(name).or_default();
                entry.0 += 1;
                entry.1 = Some(name) != head;
            }
            if let Some(entry) = weight.get_mut(to) {
                entry.2 += 1;
            }
        }
        let worst = weight.into_iter().max_by_key(|(_, weight)| *weight);
        let Some(worst) = worst.map(|(name, _)| name.clone()) else { return out };
        let of = faults.iter().find(|(from, to, _)| *from == worst || *to == worst);
        if let Some((_, _, reason)) = of {
            out.insert(worst.clone(), reason.clone());
        }
        faults.retain(|(from, to, _)| *from != worst && *to != worst);
    }
}

/// Who looks at all others in this round.
fn sources(count: usize, head: usize, turn: usize) -> Vec<usize> {
    match count {
        0 | 1 => Vec::new(),
        2..=FULL => (0..count).collect(),
        _ => {
            let mut others = (0..count).filter(|at| *at != head).cycle();
            std::iter::once(head).chain(others.nth(turn % (count - 1))).collect()
        }
    }
}

/// One round over these machines, which all answer.
pub(super) async fn round(engine: &Engine, members: &[Member]) {
    let head = engine.settings().access.head.as_ref();
    let head = members.iter().position(|member| Some(&member.name) == head).unwrap_or(0);
    let turn = engine.cluster.mesh.next_turn();
    let all = sources(members.len(), head, turn);
    join_all(all.into_iter().map(|at| look(engine, &members[at], members))).await;
}

/// Lets `source` log in to all others, and notes what it says.
pub(super) async fn look(engine: &Engine, source: &Member, members: &[Member]) {
    let others: Vec<&Member> = members.iter().filter(|member| member.name != source.name).collect();
    if others.is_empty() {
        return;
    }
    let heard = ask(engine, source, &others).await;
    let Ok(at) = engine.store().now().await else { return };
    match heard {
        Ok(heard) => {
            let mut known = engine.cluster.mesh.known();
            for (to, found) in heard {
                let link = match found {
                    Ok(rtt_ms) => Link::Up { at, rtt_ms },
                    Err(reason) => Link::Down { at, reason },
                };
                known.insert((source.name.clone(), to), link);
            }
        }
        // The machine itself is out of reach, which its own probe says.
        Err(reason) => tracing::warn!("mesh: {reason}"),
    }
}

/// What a machine says of each other: milliseconds, or why not.
pub type Heard = Vec<(NodeName, Result<u32, Reason>)>;

/// Lets `source` log in to these, itself perhaps among them.
///
/// # Errors
/// When it does not say.
pub async fn ask(engine: &Engine, source: &Member, others: &[&Member]) -> Result<Heard, Reason> {
    let connection = line::connect(engine, source, Vec::new()).await?;
    let known = super::prepare::known_hosts(engine, others.iter().copied())?;
    let script = script(others, &known, connection.agent_there());
    let said = connection.ask(&ssh::script(&script), &[], PATIENCE).await;
    let said = said.map_err(|reason| {
        Reason::machine(format!("{} does not say whom it reaches: {}", source.name, reason.text))
    })?;
    Ok(read(source, others, &said.out))
}

fn script(others: &[&Member], known: &str, agent: &str) -> String {
    let quoted = |text: &str| ssh::quoted(text.as_ref()).to_string_lossy().into_owned();
    let mut script = format!(
        "umask 077; d=$(mktemp -d) || exit 1; trap 'rm -rf \"$d\"' EXIT; \
         export SSH_AUTH_SOCK={}; printf %s {} > \"$d/known\"; printf %s {} > \"$d/config\"\n\
         t() {{ b=$(date +%s%N); if e=$(ssh -F \"$d/config\" -o UserKnownHostsFile=\"$d/known\" -n \"$1\" true 2>&1); \
         then echo \"ok $1 $(( ($(date +%s%N) - b) / 1000000 ))\"; \
         else echo \"no $1 $(printf %s \"$e\" | tail -n 1)\"; fi; }}\n",
        quoted(agent),
        quoted(known),
        quoted(&spread::ssh_config(others.iter().copied())),
    );
    for member in others {
        script += &format!("t {} &\n", quoted(&member.name.0));
    }
    script + "wait\n"
}

fn read(source: &Member, others: &[&Member], text: &str) -> Heard {
    let of = |member: &&Member| {
        let line = text.lines().find_map(|line| {
            let (word, rest) = line.split_once(' ')?;
            let (name, found) = rest.split_once(' ')?;
            (name == member.name.0).then_some((word, found))
        });
        let found = match line {
            Some(("ok", ms)) => Ok(ms.trim().parse().unwrap_or(0)),
            Some((_, words)) => Err(Reason::machine(format!(
                "{} does not reach {} by ssh: {}; try 'ssh {}@{} true' on {}",
                source.name,
                member.name,
                dvp_model::path::printable(words),
                member.user,
                member.name,
                source.name
            ))),
            None => Err(Reason::machine(format!(
                "{} got no answer from {}: does a firewall drop port {} between them?",
                source.name, member.name, member.port
            ))),
        };
        (member.name.clone(), found)
    };
    others.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use dvp_model::Millis;

    impl Mesh {
        fn note(&self, from: &str, to: &str, link: Link) {
            self.known().insert((NodeName(from.into()), NodeName(to.into())), link);
        }
    }

    fn names(mesh: &Mesh, head: &str) -> Vec<String> {
        let cut_off = mesh.cut_off(Some(&NodeName(head.into())), |name| name.0 != "out");
        cut_off.into_keys().map(|name| name.0).collect()
    }

    #[test]
    fn the_machine_that_has_most_faults_is_cut_off() {
        let down = || Link::Down { at: Millis(1), reason: Reason::machine("x") };
        let mesh = Mesh::default();
        mesh.note("a", "b", Link::Up { at: Millis(1), rtt_ms: 1 });
        assert_eq!(names(&mesh, "a"), [""; 0]);
        mesh.note("a", "c", down());
        assert_eq!(names(&mesh, "a"), ["c"]);
        assert_eq!(names(&mesh, "c"), ["a"]);
        // Nobody says who is the head: the one that was not reached.
        assert_eq!(names(&mesh, ""), ["c"]);
        mesh.note("a", "out", down());
        mesh.note("b", "a", down());
        assert_eq!(names(&mesh, "b"), ["a"]);
        mesh.note("c", "b", down());
        mesh.keep(&[&NodeName("a".into()), &NodeName("b".into())].into());
        assert_eq!(names(&mesh, "a"), ["b"]);
    }

    #[test]
    fn all_pairs_up_to_sixteen_then_the_head_and_one_in_turn() {
        assert_eq!(sources(1, 0, 3), [0; 0]);
        assert_eq!(sources(16, 2, 3).len(), 16);
        let of = |turn| sources(17, 2, turn);
        assert_eq!((of(0), of(1), of(2)), (vec![2, 0], vec![2, 1], vec![2, 3]));
        let seen: BTreeSet<usize> = (0..16).flat_map(of).collect();
        assert_eq!(seen.len(), 17);
    }

    #[test]
    fn every_machine_has_an_answer() {
        let member = |name: &str| Member {
            name: NodeName(name.into()),
            user: "mpi".into(),
            port: 22,
            slots: 1,
            memory: 0,
            duty: dvp_model::node::Duty::Active,
            host_key: String::new(),
            unreaped: Vec::new(),
        };
        let (a, b, c, d) = (member("a"), member("b"), member("c"), member("d"));
        let heard = read(&a, &[&b, &c, &d], "noise\nok b 12\nno c Host key verification failed.\n");
        assert_eq!(heard[0].1, Ok(12));
        let why = |at: usize| heard[at].1.clone().unwrap_err().text;
        assert!(why(1).contains("a does not reach c by ssh: Host key"), "{}", why(1));
        assert!(why(2).contains("a got no answer from d"), "{}", why(2));
    }
}
