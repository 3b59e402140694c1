//! The customers make short connections at a steady pace.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, MissedTickBehavior};

/// How many connections there may be at once. Each takes four file descriptors of this process (client, two in the
/// proxy, upstream), of which many systems allow 1024: a slow machine slows the load down instead of running out.
const MAX_OPEN: usize = 100;
/// The tenants have these addresses. The first one has three customers for each of the second one's.
const TENANTS: [Ipv4Addr; 2] = [Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 2)];
/// What a customer says and hears back.
const MESSAGE_BYTES: usize = 2048;
/// How often a customer says it.
const MESSAGES: usize = 3;
/// How long a customer waits between two messages.
const THINKING_TIME: Duration = Duration::from_millis(40);

/// Opens `connections_per_second` connections to `proxy` for as long as `duration`, and waits for the last to
/// end. Connections that fail are reported and do not stop the load.
pub(crate) async fn drive(proxy: SocketAddr, connections_per_second: u64, duration: Duration) {
    if connections_per_second == 0 {
        return tokio::time::sleep(duration).await;
    }
    let permits = Arc::new(Semaphore::new(MAX_OPEN));
    let mut pace = tokio::time::interval(Duration::from_secs(1).div_f64(connections_per_second as f64));
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let end = Instant::now() + duration;
    let mut tenants = [0, 0, 0, 1].iter().cycle().map(|&tenant| TENANTS[tenant]);
    while pace.tick().await < end && Instant::now() < end {
        let permit = permits.clone().acquire_owned().await.expect("the semaphore is never closed");
        let tenant = tenants.next().expect("a cycle has no end");
        tokio::spawn(async move {
            if let Err(error) = visit(proxy, tenant).await {
                eprintln!("load: {error}");
            }
            drop(permit);
        });
    }
    let _all = permits.acquire_many(MAX_OPEN as u32).await.expect("the semaphore is never closed");
}

/// Plays one customer, who sends a few messages, waits for the answer to each before the next, and says goodbye.
async fn visit(proxy: SocketAddr, tenant: Ipv4Addr) -> io::Result<()> {
    let mut stream = connect(proxy, tenant).await?;
    let message = vec![b'?'; MESSAGE_BYTES];
    let mut answer = vec![0; MESSAGE_BYTES];
    for _ in 0..MESSAGES {
        stream.write_all(&message).await?;
        stream.read_exact(&mut answer).await?;
        tokio::time::sleep(THINKING_TIME).await;
    }
    stream.shutdown().await?;
    match stream.read(&mut answer).await? {
        0 => Ok(()),
        more => Err(io::Error::other(format!("{more} bytes more than were sent came back"))),
    }
}

/// Connects from the address of a tenant. Only Linux has a whole network of loopback addresses; elsewhere, and if the proxy is on another
/// network, all customers are of one tenant.
async fn connect(proxy: SocketAddr, tenant: Ipv4Addr) -> io::Result<TcpStream> {
    if !(cfg!(target_os = "linux") && proxy.is_ipv4() && proxy.ip().is_loopback()) {
        return TcpStream::connect(proxy).await;
    }
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((tenant, 0)))?;
    socket.connect(proxy).await
}
