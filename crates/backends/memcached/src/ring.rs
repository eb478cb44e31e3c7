//! Which server has a key: consistent hashing as libketama does it, so that clients of
//! other makes look in the same place, and a server more or less moves few keys.

/// Digests per server; each yields four points.
const DIGESTS: usize = 40;
const POINTS_PER_DIGEST: usize = 4;
/// The port that is not part of a server's name.
const USUAL_PORT: u16 = 11_211;

/// Points of all servers on a circle.
#[derive(Debug)]
pub(crate) struct Ring {
    /// Point and number of the server, in order.
    points: Vec<(u32, usize)>,
}

impl Ring {
    /// A circle of servers by host and port, of equal weight.
    pub(crate) fn of(servers: &[(String, u16)]) -> Self {
        let mut points = Vec::with_capacity(servers.len() * DIGESTS * POINTS_PER_DIGEST);
        for (server, (host, port)) in servers.iter().enumerate() {
            let name = match *port {
                USUAL_PORT => host.clone(),
                port => format!("{host}:{port}"),
            };
            for number in 0..DIGESTS {
                let digest = md5::compute(format!("{name}-{number}"));
                let parts = digest.0.as_chunks::<POINTS_PER_DIGEST>().0;
                points.extend(parts.iter().map(|part| (u32::from_le_bytes(*part), server)));
            }
        }
        points.sort_unstable();
        Self { points }
    }

    /// The number of the server of a key: the next point on the circle is its.
    pub(crate) fn server_of(&self, key: &[u8]) -> usize {
        let digest = md5::compute(key);
        let [a, b, c, d, ..] = digest.0;
        let place = u32::from_le_bytes([a, b, c, d]);
        let next = self.points.partition_point(|(point, _)| *point < place);
        let (_, server) = self.points[next % self.points.len()];
        server
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(count: u8) -> Vec<(String, u16)> {
        (1..=count)
            .map(|n| (format!("10.0.1.{n}"), USUAL_PORT))
            .collect()
    }

    // covers: M3
    #[test]
    fn keys_are_where_other_clients_look() {
        let mut servers = servers(5);
        servers[4].1 = 11_212;
        let ring = Ring::of(&servers);
        // What uhashring 2.5 answers for the same names in its ketama mode.
        for (key, server) in [
            ("foo", 4),
            ("bar", 4),
            ("user:1", 0),
            ("user:2", 2),
            ("key:12345", 2),
            ("x", 3),
            ("", 1),
            ("session:abc", 4),
        ] {
            assert_eq!(ring.server_of(key.as_bytes()), server, "{key}");
        }
    }

    #[test]
    fn keys_are_spread_evenly_and_few_move_when_a_server_comes() {
        let keys: Vec<String> = (0..20_000).map(|n| format!("key:{n}")).collect();
        let (before, after) = (Ring::of(&servers(4)), Ring::of(&servers(5)));
        let mut counts = [0; 4];
        let mut moved = 0;
        for key in &keys {
            let server = before.server_of(key.as_bytes());
            counts[server] += 1;
            let now = after.server_of(key.as_bytes());
            assert!(now == server || now == 4, "only to the new one");
            moved += usize::from(now != server);
        }
        assert!(
            counts.iter().all(|count| (3_500..6_500).contains(count)),
            "{counts:?}"
        );
        assert!((3_000..5_000).contains(&moved), "a fifth moves: {moved}");
    }
}
