//! The settings of RabbitMQ, put together.

use dvp_model::error::Reason;

use super::Entry;
use crate::queue::Broker;

/// The broker that the settings name; none without a host.
pub(super) fn read(entries: &[Entry], errors: &mut Vec<Reason>) -> Option<Broker> {
    let of = |name: &str| entries.iter().find(|entry| entry.key == name);
    let text = |name: &str| {
        of(name).map(|entry| entry.value.to_string_lossy().into_owned()).unwrap_or_default()
    };
    let host = text("rmq_host");
    if host.is_empty() {
        return None;
    }
    // A value that is refused is not repeated: a URL in the wrong place may hold a password.
    let mut refuse = |name: &str, what: &str| {
        let source = of(name).map(|entry| entry.source.to_string()).unwrap_or_default();
        errors.push(Reason::spec(format!("{name} (from {source}) {what}")));
    };
    if !host.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c)) {
        refuse("rmq_host", "is no host name: give it without scheme, login and port");
    }
    let tls = match text("rmq_scheme").as_str() {
        "amqp" => false,
        "amqps" => true,
        _ => {
            refuse("rmq_scheme", "is neither amqp nor amqps");
            false
        }
    };
    let port = match text("rmq_port").trim() {
        "" if tls => 5671,
        "" => 5672,
        port => match port.parse() {
            Ok(port) if port > 0 => port,
            _ => {
                refuse("rmq_port", "is no port: give 1 to 65535");
                0
            }
        },
    };
    let management = match text("rmq_management_url").trim_end_matches('/') {
        "" => format!("http://{host}:15672"),
        url if url.starts_with("http://") && !url.contains(['@', '?', '#']) => url.to_owned(),
        _ => {
            refuse(
                "rmq_management_url",
                "is not taken: give http://host:port, without login (it is rmq_user's)",
            );
            String::new()
        }
    };
    let (user, password) = (text("rmq_user"), text("rmq_password"));
    Some(Broker { host, port, tls, user, password, vhost: text("rmq_vhost"), management })
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Environment, Flags};

    fn load(pairs: &[(&str, &str)]) -> Result<Config, String> {
        let pairs = pairs.iter().chain(&[("HOME", "/home/x")]);
        let env = Environment::of(pairs.map(|(key, value)| (key.into(), value.into())));
        Config::load_from(&Flags::default(), &env).map_err(|errors| errors.to_string())
    }

    #[test]
    fn without_a_host_there_is_no_broker() {
        assert!(load(&[("RMQ_USER", "dvp")]).unwrap().broker.is_none());
    }

    #[test]
    fn the_names_are_those_of_the_services() {
        let config = load(&[("RMQ_HOST", "rabbitmq"), ("RMQ_PASSWORD", "hunter2")]).unwrap();
        let broker = config.broker.unwrap();
        assert_eq!((broker.port, broker.vhost.as_str(), broker.tls), (5672, "/", false));
        assert_eq!(broker.management, "http://rabbitmq:15672");
        assert_eq!((broker.user.as_str(), broker.password.as_str()), ("guest", "hunter2"));
        assert!(!format!("{broker:?}").contains("hunter2"));
        let shown: Vec<String> = config.entries.iter().map(super::Entry::shown).collect();
        assert!(!shown.concat().contains("hunter2"));
        let tls = load(&[("RMQ_HOST", "r"), ("RMQ_SCHEME", "amqps")]).unwrap().broker.unwrap();
        assert_eq!((tls.port, tls.tls), (5671, true));
    }

    #[test]
    fn what_is_wrong_is_said_without_the_value() {
        let wrong = [
            ("RMQ_HOST", "amqp://dvp:hunter2@rabbitmq"),
            ("RMQ_PORT", "many"),
            ("RMQ_SCHEME", "http"),
            ("RMQ_MANAGEMENT_URL", "http://dvp:hunter2@rabbitmq:15672"),
        ];
        let errors = load(&wrong).unwrap_err();
        assert_eq!(errors.lines().count(), 4, "{errors}");
        assert!(!errors.contains("hunter2") && errors.contains("RMQ_HOST"), "{errors}");
    }
}
