//! The network that ranks speak over. Open MPI ignores one that fits no interface, with a warning that nobody
//! reads, and then hangs: so it is compared with each machine's addresses before anything starts.

use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use dvp_model::error::Reason;

/// A network of IPv4 addresses: `10.0.0.0/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    base: Ipv4Addr,
    bits: u32,
}

impl FromStr for Network {
    type Err = Reason;

    fn from_str(text: &str) -> Result<Self, Reason> {
        let wrong = || Reason::spec(format!("'{text}' is no network: write it as 10.0.0.0/24"));
        let (base, bits) = text.trim().split_once('/').ok_or_else(wrong)?;
        let base: Ipv4Addr = base.parse().map_err(|_| wrong())?;
        let bits = bits.parse().ok().filter(|bits| *bits <= 32).ok_or_else(wrong)?;
        Ok(Self { base, bits })
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.base, self.bits)
    }
}

impl Network {
    /// Whether an address lies in it.
    pub fn has(&self, address: Ipv4Addr) -> bool {
        let mask = u32::MAX.checked_shl(32 - self.bits).unwrap_or(0);
        (address.to_bits() ^ self.base.to_bits()) & mask == 0
    }

    /// The address out of `words` that lies in it.
    ///
    /// # Errors
    /// When none does, with those that there are. `name` is the machine's.
    pub fn of(&self, name: &str, words: &str) -> Result<Ipv4Addr, Reason> {
        let all = words.split_whitespace().filter_map(|word| match word.parse() {
            Ok(IpAddr::V4(address)) => Some(address),
            _ => None,
        });
        let all: Vec<Ipv4Addr> = all.collect();
        all.iter().find(|address| self.has(**address)).copied().ok_or_else(|| {
            let all: Vec<String> = all.iter().map(ToString::to_string).collect();
            Reason::machine(format!(
                "{name} has no address in the network {self}, but {}: set DVP_NETWORK to the network that all nodes \
                 share, or to nothing",
                all.join(", ")
            ))
        })
    }
}

/// A range of TCP ports: `40000-40999`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// The first.
    pub first: u16,
    /// How many.
    pub count: u16,
}

impl FromStr for Ports {
    type Err = Reason;

    fn from_str(text: &str) -> Result<Self, Reason> {
        let range = text.trim().split_once('-').and_then(|(first, last)| {
            let (first, last): (u16, u16) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
            // A launch needs several on each node, and launches run beside each other.
            (first >= 1024 && u32::from(last) >= u32::from(first) + 99)
                .then(|| Self { first, count: last - first + 1 })
        });
        range.ok_or_else(|| {
            Reason::spec(format!(
                "'{text}' is no range of ports: write it as 40000-40999, at least 100, none below 1024"
            ))
        })
    }
}

impl std::fmt::Display for Ports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.first, u32::from(self.first) + u32::from(self.count) - 1)
    }
}

/// A shell script that prints a machine's addresses.
pub const SCRIPT: &str =
    "hostname -I 2>/dev/null || ip -o addr | awk '{split($4, a, \"/\"); print a[1]}'";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_and_ports() {
        let network: Network = "10.9.0.0/20".parse().unwrap();
        let found = network.of("n1", "172.17.0.2 10.9.15.1 fe80::1\n").unwrap();
        assert_eq!(found, Ipv4Addr::new(10, 9, 15, 1));
        let why = network.of("n1", "172.17.0.2 10.9.16.1").unwrap_err().text;
        assert!(why.starts_with("n1 has no address in the network 10.9.0.0/20, but 172.17.0.2"));
        assert!("0.0.0.0/0".parse::<Network>().unwrap().has(Ipv4Addr::new(1, 2, 3, 4)));
        assert!("1.2.3.4/32".parse::<Network>().unwrap().has(Ipv4Addr::new(1, 2, 3, 4)));
        let ports: Ports = "40000-40999".parse().unwrap();
        assert_eq!(
            (ports, &*ports.to_string()),
            (Ports { first: 40000, count: 1000 }, "40000-40999")
        );
        assert_eq!("1024-65535".parse::<Ports>().unwrap().count, 64512);
        for text in ["40000", "40000-40001", "80-9000", "65500-70000", "b-a"] {
            assert!(text.parse::<Ports>().is_err(), "{text}");
        }
        for text in ["10.0.0.0", "10.0.0/8", "10.0.0.0/33", "eth0", ""] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}
