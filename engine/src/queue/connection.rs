//! One connection with its one channel: opened, declared and dropped as a unit. lapin's own recovery is
//! not used: whoever loses its link begins anew, so that nothing depends on what was restored.

use std::fmt;
use std::time::Duration;

use dvp_model::error::Reason;
use lapin::options::{
    BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions, QueueDeclareOptions,
};
use lapin::types::{FieldTable, LongString};
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, ExchangeKind,
    PublisherConfirm,
};

/// How long a connection may take to stand.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the broker may take to confirm what was published.
const CONFIRM: Duration = Duration::from_secs(30);
/// Seconds between heartbeats: a broker that is silent for two of them is gone.
const HEARTBEAT: u16 = 10;

/// Where RabbitMQ is, and who we are there.
#[derive(Clone, PartialEq, Eq)]
pub struct Broker {
    /// Name or address.
    pub host: String,
    /// AMQP's port.
    pub port: u16,
    /// With TLS.
    pub tls: bool,
    /// The user.
    pub user: String,
    /// The user's password.
    pub password: String,
    /// The virtual host.
    pub vhost: String,
    /// The management API: `http://host:port`.
    pub management: String,
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, user, vhost, .. } = self;
        write!(f, "Broker({user}:***@{host}:{port} {vhost})")
    }
}

impl Broker {
    fn uri(&self) -> AMQPUri {
        AMQPUri {
            scheme: if self.tls { AMQPScheme::AMQPS } else { AMQPScheme::AMQP },
            authority: AMQPAuthority {
                userinfo: AMQPUserInfo {
                    username: self.user.clone(),
                    password: self.password.clone(),
                },
                host: self.host.clone(),
                port: self.port,
            },
            vhost: self.vhost.clone(),
            query: AMQPQueryString { heartbeat: Some(HEARTBEAT), ..AMQPQueryString::default() },
        }
    }

    /// A reason that names the broker.
    pub(super) fn fault(&self, what: impl fmt::Display) -> Reason {
        let Self { host, port, .. } = self;
        Reason::machine(format!("RabbitMQ at {host}:{port}: {what}"))
    }
}

/// A connection with its channel.
pub(super) struct Link {
    connection: Connection,
    /// The channel; in confirm mode.
    pub channel: Channel,
    broker: Broker,
}

impl Link {
    /// Opens both; `name` is what the broker's own console shows.
    pub async fn open(broker: &Broker, name: &str) -> Result<Self, Reason> {
        let opening = async {
            let name = LongString::from(name.to_owned());
            let properties = ConnectionProperties::default().with_connection_name(name);
            let connection = Connection::connect_uri(broker.uri(), properties).await?;
            let channel = connection.create_channel().await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            Ok((connection, channel))
        };
        let (connection, channel) = match tokio::time::timeout(PATIENCE, opening).await {
            Ok(opened) => opened.map_err(|error: lapin::Error| broker.fault(error))?,
            Err(_) => return Err(broker.fault(format!("no answer in {} s", PATIENCE.as_secs()))),
        };
        Ok(Self { connection, channel, broker: broker.clone() })
    }

    /// Whether connection and channel still stand, as far as is known.
    pub fn stands(&self) -> bool {
        self.connection.status().connected() && self.channel.status().connected()
    }

    /// Makes sure that a durable queue is there. One that exists is taken as it is, whatever arguments
    /// it was declared with.
    pub async fn queue(&self, name: &str) -> Result<(), Reason> {
        let fault = |error: lapin::Error| self.broker.fault(format!("the queue {name}: {error}"));
        let table = FieldTable::default;
        // A refusal costs the channel that asked.
        let asking = self.connection.create_channel().await.map_err(fault)?;
        let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        if asking.queue_declare(name.into(), durable, table()).await.is_ok() {
            let _ = asking.close(200, "declared".into()).await;
            return Ok(());
        }
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        self.channel.queue_declare(name.into(), passive, table()).await.map(drop).map_err(fault)
    }

    /// Makes sure that a durable topic exchange is there. One that exists is taken as it is.
    pub async fn exchange(&self, name: &str) -> Result<(), Reason> {
        let fault =
            |error: lapin::Error| self.broker.fault(format!("the exchange {name}: {error}"));
        let (kind, table) = (ExchangeKind::Topic, FieldTable::default);
        let asking = self.connection.create_channel().await.map_err(fault)?;
        let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        if asking.exchange_declare(name.into(), kind.clone(), durable, table()).await.is_ok() {
            let _ = asking.close(200, "declared".into()).await;
            return Ok(());
        }
        let passive = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
        self.channel.exchange_declare(name.into(), kind, passive, table()).await.map_err(fault)
    }

    /// Publishes a persistent message to a queue, and waits until the broker has it.
    pub async fn publish(&self, queue: &str, body: &[u8]) -> Result<(), Reason> {
        let what = format!("a message to {queue}");
        let properties = BasicProperties::default().with_delivery_mode(2);
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let sent = self.channel.basic_publish("".into(), queue.into(), options, body, properties);
        let confirm = sent.await.map_err(|error| self.broker.fault(format!("{what}: {error}")))?;
        self.confirmed(&what, confirm).await
    }

    /// Waits until the broker has taken what was published; `what` names it.
    pub async fn confirmed(&self, what: &str, confirm: PublisherConfirm) -> Result<(), Reason> {
        match tokio::time::timeout(CONFIRM, confirm).await {
            Ok(Ok(Confirmation::Ack(None))) => Ok(()),
            // An Ack with a message in it: no queue wanted it, and it was sent as mandatory.
            Ok(Ok(Confirmation::Ack(Some(_)))) => {
                Err(self.broker.fault(format!("{what} came back: there is no queue for it")))
            }
            Ok(Ok(_)) => Err(self.broker.fault(format!("{what} was not taken"))),
            Ok(Err(error)) => Err(self.broker.fault(format!("{what}: {error}"))),
            Err(_) => Err(self.broker.fault(format!("{what} was never confirmed"))),
        }
    }
}
