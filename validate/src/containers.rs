//! What docker says of the containers of docker-compose.yml: one line each, name, state and health.

use std::io::BufRead;

use dvp_model::error::Reason;
use dvp_model::validate::{self, Check};

/// Reads lines such as `/api running healthy`; a container that has none is missing.
///
/// # Errors
/// When they can't be read.
pub fn read(input: impl BufRead) -> Result<Vec<Check>, Reason> {
    let lines: Vec<String> = input.lines().collect::<Result<_, _>>().map_err(|error| {
        Reason::spec(format!("what docker says of the containers can't be read: {error}"))
    })?;
    let nodes = validate::compose_nodes();
    let nodes = nodes.iter().map(|node| (validate::container(node), validate::node_runs(node)));
    let services =
        validate::SERVICES.iter().map(|(of, name)| ((*of).to_owned(), (*name).to_owned()));
    Ok(nodes.chain(services).map(|(container, name)| check(&lines, &container, name)).collect())
}

fn check(lines: &[String], container: &str, name: String) -> Check {
    let line = lines.iter().find_map(|line| {
        let mut words = line.split_whitespace();
        let own = words.next()?.trim_start_matches('/') == container;
        own.then(|| {
            (words.next().unwrap_or("gone").to_owned(), words.next().unwrap_or("-").to_owned())
        })
    });
    let seen = match &line {
        Some((state, health)) if state == "running" && (health == "healthy" || health == "-") => {
            return Check::passed(1, name);
        }
        Some((state, health)) if state == "running" => format!("running, but {health}"),
        Some((state, _)) => state.clone(),
        None => "no such container".to_owned(),
    };
    let mend = match &line {
        Some((state, _)) if state == "running" => {
            format!("docker-compose logs {container}; docker-compose restart {container}")
        }
        _ => format!("docker-compose up -d {container}; docker-compose logs {container}"),
    };
    Check::failed(1, name, "running and healthy", seen, mend)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dvp_model::validate::Found;

    #[test]
    fn each_container_has_its_line() {
        let text = "/mpi-master running healthy\n/mpi-worker1 exited -\n/api running unhealthy\n\
                    /postgres running -\n/minio running healthy\n/rabbitmq restarting starting\n";
        let checks = read(text.as_bytes()).unwrap();
        let said: Vec<String> = checks
            .iter()
            .map(|check| match &check.found {
                Found::Failed { seen, .. } => format!("{}: {seen}", check.name),
                _ => check.name.clone(),
            })
            .collect();
        assert_eq!(
            said,
            [
                "Checking MPI Master Node",
                "Checking MPI Worker 1: exited",
                "Checking MPI Worker 2: no such container",
                "Checking API Server: running, but unhealthy",
                "Checking PostgreSQL Database",
                "Checking MinIO Storage",
                "Checking RabbitMQ Queue: restarting"
            ]
        );
    }
}
