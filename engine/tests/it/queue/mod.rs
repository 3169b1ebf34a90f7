//! Jobs from a real RabbitMQ: producers, broken brokers, bad messages, events.

mod rig;
mod servers;
