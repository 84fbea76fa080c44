//! TCP to the first of several addresses that accepts it (RFC 8305, "happy eyeballs", without its state).
//!
//! In: addresses in the resolver's order. Out: one connection. The two address families alternate, and each attempt has a head start
//! before the next begins beside it. So a network that drops all IPv6 (or IPv4) packets costs that head start and no more, and a name
//! with many dead addresses does not use up the connect timeout.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// The "connection attempt delay" that the RFC recommends.
const HEAD_START: Duration = Duration::from_millis(250);
/// How long sent bytes may stay unacknowledged before the kernel drops the connection (TCP_USER_TIMEOUT).
const UNACKNOWLEDGED: Duration = Duration::from_secs(10);

/// The first connection; the caller sets the timeout.
///
/// # Errors
/// The address that failed last, and why; `None` if there was none to try.
pub(super) async fn connect(
    addresses: &[SocketAddr],
) -> Result<TcpStream, Option<(SocketAddr, io::Error)>> {
    let mut waiting = alternating(addresses).into_iter();
    let mut racing = JoinSet::new();
    let mut last = None;
    loop {
        let one_more = waiting.next();
        let ended = match one_more {
            Some(address) => {
                racing.spawn(async move {
                    (address, TcpStream::connect(address).await.and_then(tuned))
                });
                tokio::time::timeout(HEAD_START, racing.join_next()).await
            }
            None => Ok(racing.join_next().await),
        };
        match ended {
            Ok(Some(Ok((_, Ok(tcp))))) => return Ok(tcp),
            Ok(Some(Ok((address, Err(source))))) => last = Some((address, source)),
            Ok(None) if one_more.is_none() => return Err(last),
            // The head start is over, or a task was cancelled.
            Ok(None | Some(Err(_))) | Err(_) => {}
        }
    }
}

/// Alternates the families, beginning with the resolver's first.
fn alternating(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (mut first, mut second): (Vec<_>, Vec<_>) = addresses
        .iter()
        .copied()
        .partition(|address| address.is_ipv6() == first_is_v6);
    first.reverse();
    second.reverse();
    let mut turns = Vec::with_capacity(addresses.len());
    while !first.is_empty() || !second.is_empty() {
        turns.extend(first.pop());
        turns.extend(second.pop());
    }
    turns
}

fn tuned(tcp: TcpStream) -> io::Result<TcpStream> {
    tcp.set_nodelay(true)?;
    let socket = SockRef::from(&tcp);
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
    socket.set_tcp_keepalive(
        &TcpKeepalive::new()
            .with_time(Duration::from_secs(15))
            .with_interval(Duration::from_secs(5)),
    )?;
    Ok(tcp)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn families_take_turns_in_the_resolvers_order() {
        let given = addresses(&[
            "[fd00::1]:1",
            "[fd00::2]:1",
            "[fd00::3]:1",
            "10.0.0.1:1",
            "10.0.0.2:1",
        ]);
        let turns = addresses(&[
            "[fd00::1]:1",
            "10.0.0.1:1",
            "[fd00::2]:1",
            "10.0.0.2:1",
            "[fd00::3]:1",
        ]);
        assert_eq!(alternating(&given), turns);
        let given = addresses(&["10.0.0.1:1", "[fd00::1]:1"]);
        assert_eq!(alternating(&given), given);
        assert_eq!(alternating(&[]), []);
    }

    #[tokio::test]
    async fn an_address_that_refuses_costs_nothing_and_the_last_error_is_returned() {
        let listen = || tokio::net::TcpListener::bind("127.0.0.1:0");
        let listener = listen().await.unwrap();
        let alive = listener.local_addr().unwrap();
        let dead = listen().await.unwrap().local_addr().unwrap();
        let (address, _) = connect(&[dead, dead]).await.unwrap_err().unwrap();
        assert_eq!(address, dead);
        assert!(connect(&[]).await.unwrap_err().is_none());
        let tcp = connect(&[dead, alive]).await.unwrap();
        assert_eq!(tcp.peer_addr().unwrap(), alive);
    }
}
