//! HAProxy and Envoy as they are installed, each before the same AMP.

use emulator::world::World;
use testbench::peers::free_ports;
use testbench::peers::process::Process;
use tokio::net::TcpStream;
use tokio::process::Command;

/// A proxy that listens.
pub struct Peer {
    pub host: String,
    _process: Process,
}

impl Peer {
    /// HAProxy with a minimal configuration.
    pub async fn haproxy(world: &World) -> Self {
        let [address] = free_ports().unwrap();
        let amp = amp(world);
        let config = format!(
            "defaults\n mode http\n timeout client 30s\n timeout connect 5s\n timeout server 30s\n\
             frontend senders\n bind {address}\n default_backend amp\n\
             backend amp\n server amp {amp} ssl verify none\n"
        );
        let file = world.folder().join("haproxy.cfg");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-f").arg(&file);
        Self::start("haproxy", command, address.to_string()).await
    }

    /// Envoy with the defaults of its connection manager.
    pub async fn envoy(world: &World) -> Self {
        let [address] = free_ports().unwrap();
        let socket = |host: &str, port: &str| serde_json::json!({"socket_address": {"address": host, "port_value": port.parse::<u16>().unwrap()}});
        let amp = amp(world);
        let (amp_host, amp_port) = amp.rsplit_once(':').unwrap();
        let of = |kind: &str| format!("type.googleapis.com/envoy.extensions.{kind}");
        let config = serde_json::json!({"static_resources": {
            "listeners": [{
                "address": socket(&address.ip().to_string(), &address.port().to_string()),
                "filter_chains": [{"filters": [{
                    "name": "http",
                    "typed_config": {
                        "@type": of("filters.network.http_connection_manager.v3.HttpConnectionManager"),
                        "stat_prefix": "senders",
                        "route_config": {"virtual_hosts": [{"name": "amp", "domains": ["*"], "routes": [
                            {"match": {"prefix": "/"}, "route": {"cluster": "amp", "timeout": "25s"}},
                        ]}]},
                        "http_filters": [{
                            "name": "router",
                            "typed_config": {"@type": of("filters.http.router.v3.Router")},
                        }],
                    },
                }]}],
            }],
            "clusters": [{
                "name": "amp", "type": "STATIC", "connect_timeout": "5s",
                "transport_socket": {"name": "tls", "typed_config": {
                    "@type": of("transport_sockets.tls.v3.UpstreamTlsContext"),
                }},
                "load_assignment": {"cluster_name": "amp", "endpoints": [{"lb_endpoints": [
                    {"endpoint": {"address": socket(amp_host, amp_port)}},
                ]}]},
            }],
        }});
        let mut command = Command::new("envoy");
        command.args(["--config-yaml", &config.to_string()]);
        command.args(["--concurrency", "1", "--disable-hot-restart"]);
        command.args(["--log-level", "warning"]);
        Self::start("envoy", command, address.to_string()).await
    }

    async fn start(name: &str, command: Command, host: String) -> Self {
        let started = Process::start(name, command, &[]);
        let mut process = started.unwrap_or_else(|error| panic!("scripts/test brings it: {error}"));
        for _ in 0..1000 {
            process.check().await.unwrap();
            if TcpStream::connect(&host).await.is_ok() {
                return Self {
                    host,
                    _process: process,
                };
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("{name} does not listen: {}", process.log().last_words());
    }
}

/// AMP's address.
fn amp(world: &World) -> String {
    let url = world.amp_url().trim_start_matches("https://");
    url.split('/').next().unwrap().to_owned()
}
