//! A RabbitMQ server of a test's own: a plain process in a temporary folder, with free ports and its own
//! port mapper, as whatever user runs the test; gone with the test.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::python;
use crate::wait::wait_for;

/// The package's programs, without the wrapper that insists on root.
const PROGRAMS: &str = "/usr/lib/rabbitmq/bin";
/// Longer than a start takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

/// A plain producer, as README shows one: the port is its argument, messages are the lines of its stdin.
const PRODUCER: &str = r"
import sys, pika
login = pika.PlainCredentials('dvp', 'secret')
connection = pika.BlockingConnection(pika.ConnectionParameters(port=int(sys.argv[1]), credentials=login))
channel = connection.channel()
channel.queue_declare('video_jobs', durable=True)
for line in sys.stdin.buffer:
    properties = pika.BasicProperties(delivery_mode=2, content_type='application/json')
    channel.basic_publish('', 'video_jobs', line, properties)
connection.close()
";

/// A running server.
#[derive(Debug)]
pub struct RabbitMq {
    server: Option<Child>,
    mapper: Child,
    folder: TempDir,
    ports: Ports,
    arguments: String,
}

#[derive(Debug)]
struct Ports {
    amqp: u16,
    management: u16,
    cluster: u16,
    mapper: u16,
}

impl RabbitMq {
    /// The user that may do everything.
    pub const USER: &str = "dvp";
    /// Its password.
    pub const PASSWORD: &str = "secret";

    /// Starts a server.
    ///
    /// # Panics
    /// When RabbitMQ is not installed, or does not start.
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// Starts a server with more arguments for Erlang, such as `-rabbit consumer_timeout 500`.
    ///
    /// # Panics
    /// When RabbitMQ is not installed, or does not start.
    pub fn start_with(arguments: &str) -> Self {
        let server = Path::new(PROGRAMS).join("rabbitmq-server");
        assert!(server.exists(), "needs RabbitMQ (Debian package rabbitmq-server)");
        let folder = tempfile::Builder::new().prefix("dvp-rmq").tempdir().expect("a folder");
        let listeners = [(); 4].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port"));
        let [amqp, management, cluster, mapper] =
            listeners.each_ref().map(|it| it.local_addr().expect("its address").port());
        drop(listeners);
        let ports = Ports { amqp, management, cluster, mapper };
        let text = format!(
            "management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {management}\n\
             default_user = {}\ndefault_pass = {}\ncollect_statistics_interval = 1000\n",
            Self::USER,
            Self::PASSWORD
        );
        std::fs::write(folder.path().join("rabbitmq.conf"), text).expect("its configuration");
        std::fs::write(folder.path().join("plugins"), "[rabbitmq_management].").expect("plugins");
        // A port mapper of its own: the one that Erlang starts by itself outlives every node.
        let port = mapper.to_string();
        let mut epmd = Command::new("epmd");
        epmd.args(["-port", &port, "-address", "127.0.0.1"]);
        epmd.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mapper = epmd.spawn().expect("epmd");
        wait_for("epmd", LIMIT, || reach(ports.mapper).map(drop));
        let arguments = arguments.to_owned();
        let mut rabbitmq = Self { server: None, mapper, folder, ports, arguments };
        rabbitmq.begin();
        rabbitmq
    }

    /// AMQP's port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.ports.amqp
    }

    /// The management API.
    pub fn management(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.management)
    }

    /// Starts the server again after [`RabbitMq::stop`] or [`RabbitMq::kill`].
    ///
    /// # Panics
    /// When it does not come up.
    pub fn begin(&mut self) {
        let log = std::fs::File::create(self.folder.path().join("start.log")).expect("a log");
        let mut server = self.program("rabbitmq-server");
        // As systemd would have it: the script becomes the server, and signals reach it.
        server.env("RUNNING_UNDER_SYSTEMD", "true");
        server.env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", &self.arguments);
        server.stdout(log.try_clone().expect("a log")).stderr(log);
        self.server = Some(server.spawn().expect("rabbitmq-server"));
        wait_for("RabbitMQ", LIMIT, || {
            let gone = self.server.as_mut().and_then(|it| it.try_wait().ok().flatten());
            if let Some(status) = gone {
                let log = std::fs::read_to_string(self.folder.path().join("start.log"));
                panic!("RabbitMQ ended with {status}: {}", log.unwrap_or_default());
            }
            reach(self.ports.management)?;
            let mut amqp = reach(self.ports.amqp)?;
            let greeted = amqp.write_all(b"AMQP\x00\x00\x09\x01");
            let answered = greeted.and_then(|()| amqp.read_exact(&mut [0; 7]));
            answered.map_err(|error| error.to_string())
        });
    }

    /// Ends the server in order.
    pub fn stop(&mut self) {
        self.end(Signal::TERM);
    }

    /// Ends the server as a crash would.
    pub fn kill(&mut self) {
        self.end(Signal::KILL);
    }

    fn end(&mut self, signal: Signal) {
        let Some(mut server) = self.server.take() else { return };
        if let Some(pid) = Pid::from_raw(server.id() as i32) {
            let _ = kill_process(pid, signal);
        }
        let _ = server.wait();
    }

    /// What `rabbitmqctl` prints, a line a row, fields by tabs.
    ///
    /// # Panics
    /// When it fails.
    pub fn ctl(&self, arguments: &[&str]) -> Vec<String> {
        let mut ctl = self.program("rabbitmqctl");
        ctl.args(["-q", "-n", &self.node()]).args(arguments);
        let ran = ctl.stdout(Stdio::piped()).stderr(Stdio::piped()).output().expect("rabbitmqctl");
        assert!(ran.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8_lossy(&ran.stdout).lines().map(str::to_owned).collect()
    }

    /// Messages of a queue as the broker counts them at this moment: ready and unacknowledged; none when
    /// there is no such queue.
    pub fn count(&self, queue: &str) -> Option<(u64, u64)> {
        let fields = ["list_queues", "name", "messages_ready", "messages_unacknowledged"];
        let rows = self.ctl(&[&fields[..], &["--no-table-headers"]].concat());
        let row = rows.iter().find(|row| row.split('\t').next() == Some(queue))?;
        let mut figures = row.split('\t').skip(1).filter_map(|figure| figure.parse().ok());
        Some((figures.next()?, figures.next()?))
    }

    /// Sends messages with pika, as a plain producer that declares the queue without arguments.
    ///
    /// # Panics
    /// When the producer fails, or there is no Python with pika.
    pub fn produce(&self, messages: &[String]) {
        let python = python::program("python");
        let mut producer = Command::new(&python);
        producer.args(["-c", PRODUCER, &self.ports.amqp.to_string()]).stdin(Stdio::piped());
        let mut producer = producer.stderr(Stdio::piped()).spawn().expect("python");
        let mut stdin = producer.stdin.take().expect("its stdin");
        for message in messages {
            writeln!(stdin, "{message}").expect("the producer reads");
        }
        drop(stdin);
        let ended = producer.wait_with_output().expect("the producer ends");
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    }

    fn node(&self) -> String {
        format!("dvp-{}@localhost", self.ports.amqp)
    }

    fn program(&self, name: &str) -> Command {
        let folder = self.folder.path();
        let mut command = Command::new(Path::new(PROGRAMS).join(name));
        command.env_clear().current_dir(folder).stdin(Stdio::null());
        for (name, value) in [
            ("PATH", std::env::var("PATH").unwrap_or_default()),
            ("LANG", "C.UTF-8".to_owned()),
            ("ERL_EPMD_PORT", self.ports.mapper.to_string()),
            ("RABBITMQ_NODENAME", self.node()),
            ("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1".to_owned()),
            ("RABBITMQ_NODE_PORT", self.ports.amqp.to_string()),
            ("RABBITMQ_DIST_PORT", self.ports.cluster.to_string()),
        ] {
            command.env(name, value);
        }
        for (name, file) in [
            ("HOME", ""),
            ("RABBITMQ_MNESIA_BASE", "mnesia"),
            ("RABBITMQ_LOG_BASE", "log"),
            ("RABBITMQ_CONFIG_FILE", "rabbitmq.conf"),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", "plugins"),
        ] {
            command.env(name, folder.join(file));
        }
        command
    }
}

impl Drop for RabbitMq {
    fn drop(&mut self) {
        self.kill();
        let _ = self.mapper.kill();
        let _ = self.mapper.wait();
    }
}

fn reach(port: u16) -> Result<TcpStream, String> {
    let stream = TcpStream::connect(("127.0.0.1", port)).map_err(|error| error.to_string())?;
    let patience = Some(Duration::from_secs(5));
    stream.set_read_timeout(patience).map_err(|error| error.to_string())?;
    Ok(stream)
}
