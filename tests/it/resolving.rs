//! Names and addresses: networks without IPv4, with an IPv6 that drops all packets, and a resolver with search domains.

use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use emulator::world::WorldConfig;
use reqwest::StatusCode;
use testbench::peers::process::Process;
use tokio::process::Command;

use crate::bodies;
use crate::leak_check::World;
use crate::namespace::{in_a_network_of_its_own, instead_of, run};
use crate::rig::Rig;

const AMP: &str = "aps-workspaces.us-east-1.amazonaws.com";

#[test]
fn a_network_without_ipv4_is_enough() {
    in_a_network_of_its_own("resolving::a_network_without_ipv4_is_enough", async {
        run("ip", &["addr", "del", "127.0.0.1/8", "dev", "lo"]);
        run("ip", &["addr", "add", "fd00::1/128", "dev", "lo", "nodad"]);
        let here: Ipv6Addr = "fd00::1".parse().unwrap();
        let config = WorldConfig {
            listen: here.into(),
            names: vec![here.to_string()],
            sts_https: true,
            ..WorldConfig::default()
        };
        // By address, as in the world's own URLs, and by name.
        for by_name in [false, true] {
            let world = World::start(config.clone()).await.unwrap();
            instead_of("/etc/hosts", world.folder(), &format!("fd00::1 {AMP}\n"));
            assert!(world.amp_url().starts_with("https://[fd00::1]:"));
            let amp = match by_name {
                true => world.amp_url().replacen("[fd00::1]", AMP, 1),
                false => world.amp_url().to_owned(),
            };
            let settings = [
                ("listen", "[::1]:0"),
                ("admin-listen", "[::]:0"),
                ("remote-write-url", &amp),
            ];
            let mut rig = Rig::start_beside(world, &settings).await;
            rig.admin_host = rig.admin_host.replace("[::]", "[fd00::1]");
            rig.until_ready().await;
            let batch = bodies::v1("up", 3);
            assert_eq!(rig.write(&batch).await, StatusCode::OK);
            assert!(rig.has_stored(&batch));
            run("umount", &["/etc/hosts"]);
        }
    });
}

#[test]
fn an_ipv6_that_swallows_everything_costs_a_moment() {
    in_a_network_of_its_own(
        "resolving::an_ipv6_that_swallows_everything_costs_a_moment",
        async {
            run(
                "ip",
                &[
                    "link", "add", "dead0", "type", "veth", "peer", "name", "dead1",
                ],
            );
            run(
                "ip",
                &["addr", "add", "2001:db8::1/64", "dev", "dead0", "nodad"],
            );
            run("ip", &["link", "set", "dead0", "up"]);
            run("ip", &["link", "set", "dead1", "up"]);
            let world = World::start(WorldConfig::default()).await.unwrap();
            // As many as AMP's name may have; dividing the 3 s among them would take most of the time.
            let dead = (0x10..0x1c).map(|n| format!("2001:db8::{n:x} {AMP}\n"));
            let hosts: String = dead.chain([format!("127.0.0.1 {AMP}\n")]).collect();
            instead_of(
                "/etc/hosts",
                world.folder(),
                &format!("{hosts}127.0.0.1 localhost\n"),
            );
            let amp = world.amp_url().replacen("127.0.0.1", AMP, 1);
            let rig = Rig::start_beside(world, &[("remote-write-url", &amp)]).await;
            rig.until_ready().await;
            let started = Instant::now();
            assert_eq!(rig.write(&bodies::v1("up", 3)).await, StatusCode::OK);
            let took = started.elapsed();
            assert!(
                took >= Duration::from_millis(200),
                "IPv6 was not tried first: {took:?}"
            );
            assert!(took < Duration::from_secs(2), "{took:?}");
        },
    );
}

#[test]
fn short_names_are_found_in_the_resolvers_search_domains() {
    in_a_network_of_its_own(
        "resolving::short_names_are_found_in_the_resolvers_search_domains",
        async {
            let config = WorldConfig {
                sts_https: true,
                names: vec!["amp".to_owned(), "sts.aws".to_owned()],
                ..WorldConfig::default()
            };
            let world = World::start(config).await.unwrap();
            let _dns = dns(&world).await;
            let resolver =
                "nameserver 127.0.0.1\nsearch corp.test svc.corp.test\noptions ndots:5 timeout:1\n";
            instead_of("/etc/resolv.conf", world.folder(), resolver);
            instead_of("/etc/hosts", world.folder(), "127.0.0.1 localhost\n");
            let amp = world.amp_url().replacen("127.0.0.1", "amp", 1);
            let sts = world.sts_url().replacen("127.0.0.1", "sts.aws", 1);
            let settings = [("remote-write-url", amp.as_str()), ("sts-endpoint", &sts)];
            let rig = Rig::start_beside(world, &settings).await;
            rig.until_ready().await;
            let batch = bodies::v1("up", 3);
            assert_eq!(rig.write(&batch).await, StatusCode::OK);
            assert!(rig.has_stored(&batch));
        },
    );
}

/// A name server that knows `sts.aws` in the first search domain and `amp` in the second.
async fn dns(world: &World) -> Process {
    let folder = world.folder().display();
    let config = format!(
        "<main>\n daemonize off\n chroot off\n uid 0\n gid 0\n listen 127.0.0.1 port 53\n datapath \"{folder}\"\n \
         keyspath \"{folder}\"\n xfrpath \"{folder}\"\n logpath \"{folder}\"\n pidfile \"{folder}/yadifad.pid\"\n</main>\n\
         <zone>\n type primary\n domain corp.test\n file \"corp.test.zone\"\n</zone>\n"
    );
    let zone = "$TTL 60\n@ IN SOA ns.corp.test. admin.corp.test. 1 60 60 60 60\n@ IN NS ns.corp.test.\n\
                ns IN A 127.0.0.1\nsts.aws IN A 127.0.0.1\namp.svc IN A 127.0.0.1\n";
    let file = world.folder().join("yadifad.conf");
    std::fs::write(&file, config).unwrap();
    std::fs::write(world.folder().join("corp.test.zone"), zone).unwrap();
    let mut command = Command::new("yadifad");
    command.arg("-c").arg(&file);
    let mut server = Process::start("yadifad", command, &[]).unwrap();
    for _ in 0..200 {
        server.check().await.unwrap();
        if tokio::net::TcpStream::connect("127.0.0.1:53").await.is_ok() {
            return server;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("yadifad does not listen: {}", server.log().last_words());
}
