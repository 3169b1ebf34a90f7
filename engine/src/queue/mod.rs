//! RabbitMQ: jobs come from the queue `video_jobs`, what happened goes to the exchange `dvp.events`. A
//! service that runs or doesn't; nothing of the engine waits for it. Here: how it stands.

mod connection;
mod depth;
mod intake;
mod publish;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dvp_model::error::Reason;
use dvp_model::time::Millis;
use dvp_model::wire::api::{QueueFigures, Service};

pub use connection::Broker;

use crate::engine::Engine;

/// The queue that jobs come from: durable and without arguments, as a plain producer declares it.
pub const QUEUE: &str = "video_jobs";
/// Where messages go that can't become jobs, each with its reason.
pub const DEAD: &str = "video_jobs.dead";
/// The topic exchange of what happened.
pub const EVENTS: &str = "dvp.events";

/// The first pause after a fault; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How RabbitMQ stands, as its three users last saw it.
pub struct Queue {
    broker: Broker,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    intake: Side,
    events: Side,
    depth: Side,
    figures: Option<(Instant, QueueFigures)>,
}

/// One user's side.
#[derive(Clone, Default)]
struct Side {
    /// When it was last seen to work, or not to.
    asked: Option<Instant>,
    /// What is wrong, and since when.
    fault: Option<(Instant, Reason)>,
}

/// Who saw something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum User {
    Intake,
    Events,
    Depth,
}

impl Queue {
    pub(crate) fn new(broker: Broker) -> Self {
        Self { broker, known: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what a user saw. A fault keeps the moment when it began. Whether this is the first of it.
    fn saw(&self, user: User, seen: Result<(), Reason>) -> bool {
        let mut known = self.known();
        let side = match user {
            User::Intake => &mut known.intake,
            User::Events => &mut known.events,
            User::Depth => &mut known.depth,
        };
        let now = Instant::now();
        side.asked = Some(now);
        let first = side.fault.is_none();
        side.fault = seen.err().map(|reason| match side.fault.take() {
            Some((since, _)) => (since, reason),
            None => (now, reason),
        });
        first && side.fault.is_some()
    }

    fn counted(&self, figures: QueueFigures) {
        self.known().figures = Some((Instant::now(), figures));
    }

    /// Connects anew, and asks for the queue that jobs come from.
    ///
    /// # Errors
    /// Why the broker refuses, or that it does not answer.
    pub async fn test(&self) -> Result<String, Reason> {
        let link = connection::Link::open(&self.broker, "dvp: a test").await?;
        link.queue(QUEUE).await?;
        Ok(format!("RabbitMQ at {}:{}", self.broker.host, self.broker.port))
    }

    /// The broker's last word on the queue; none before it spoke. `now` is the database's.
    pub fn figures(&self, now: Millis) -> Option<QueueFigures> {
        let known = self.known();
        let (taken, figures) = known.figures.as_ref()?;
        Some(QueueFigures { at: ago(now, *taken), ..figures.clone() })
    }

    /// How each user of RabbitMQ stands. `now` is the database's.
    pub fn services(&self, now: Millis) -> Vec<Service> {
        let known = self.known();
        let Broker { host, port, .. } = &self.broker;
        let away = known.intake.fault.is_some();
        let sides = [
            ("queue", format!("RabbitMQ at {host}:{port}, {QUEUE}"), &known.intake),
            ("events", format!("RabbitMQ's exchange {EVENTS}"), &known.events),
            (
                "depth",
                format!("RabbitMQ's management API, {}", self.broker.management),
                &known.depth,
            ),
        ];
        let service = |(name, what, side): (&str, String, &Side)| {
            // One cause is said once: without the broker there is nothing to say of the other two.
            let fault = side.fault.as_ref().filter(|_| name == "queue" || !away);
            Service {
                name: name.to_owned(),
                what: match side.asked {
                    None => format!("{what}: connects"),
                    Some(_) if fault.is_none() && away => format!("{what}: waits for the broker"),
                    Some(_) => what,
                },
                fault: fault.map(|(_, reason)| reason.clone()),
                since: fault.map(|(since, _)| ago(now, *since)),
                at: side.asked.map_or(now, |asked| ago(now, asked)),
            }
        };
        sides.into_iter().map(service).collect()
    }
}

fn ago(now: Millis, then: Instant) -> Millis {
    now.plus(-(then.elapsed().as_millis() as i64))
}

/// Sends a message to the queue that jobs come from, as any producer may, and waits until the broker has it.
///
/// # Errors
/// Why the broker did not take it.
pub async fn send(broker: &Broker, body: &[u8]) -> Result<(), Reason> {
    let link = connection::Link::open(broker, "dvp: a producer").await?;
    link.queue(QUEUE).await?;
    link.publish(QUEUE, body).await
}

/// Starts what uses RabbitMQ, where there is one.
pub(crate) fn start(engine: &Engine) {
    let Some(queue) = &engine.queue else { return };
    let tasks = &engine.tasks;
    tasks.spawn_until_stop(intake::serve(engine.clone(), Arc::clone(queue)));
    tasks.spawn(publish::serve(engine.clone(), Arc::clone(queue)));
    tasks.spawn_until_stop(depth::serve(Arc::clone(queue)));
}

/// Pauses that grow from fault to fault, and begin anew after a while without one.
struct Pauses {
    next: Duration,
    began: Instant,
}

impl Pauses {
    fn new() -> Self {
        Self { next: FIRST_PAUSE, began: Instant::now() }
    }

    async fn pause(&mut self) {
        if self.began.elapsed() > 2 * LONGEST_PAUSE {
            self.next = FIRST_PAUSE;
        }
        tokio::time::sleep(self.next).await;
        self.next = (2 * self.next).min(LONGEST_PAUSE);
        self.began = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue() -> Queue {
        Queue::new(Broker {
            host: "rabbitmq".into(),
            port: 5672,
            tls: false,
            user: "guest".into(),
            password: "guest".into(),
            vhost: "/".into(),
            management: "http://rabbitmq:15672".into(),
        })
    }

    #[test]
    fn a_fault_keeps_its_beginning_and_is_first_once() {
        let queue = queue();
        let now = Millis(1_000_000);
        assert!(queue.saw(User::Intake, Err(Reason::machine("refused"))));
        let since = queue.known().intake.fault.clone().unwrap().0;
        assert!(!queue.saw(User::Intake, Err(Reason::machine("timed out"))));
        assert_eq!(queue.known().intake.fault.clone().unwrap().0, since);
        let services = queue.services(now);
        assert_eq!(services[0].fault.as_ref().unwrap().text, "timed out");
        assert!(!queue.saw(User::Intake, Ok(())));
        assert!(queue.services(now)[0].fault.is_none());
    }

    #[test]
    fn a_broker_that_is_away_is_one_cause() {
        let queue = queue();
        for user in [User::Intake, User::Events, User::Depth] {
            queue.saw(user, Err(Reason::machine("away")));
        }
        let services = queue.services(Millis(0));
        assert_eq!(services.iter().filter(|service| service.fault.is_some()).count(), 1);
        queue.saw(User::Intake, Ok(()));
        let services = queue.services(Millis(0));
        assert_eq!(services.iter().filter(|service| service.fault.is_some()).count(), 2);
    }
}
