//! Profiles on an axum server, beside the application's own routes, at any prefix.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::middleware::map_request;
use axum::routing::get;
use pprof_server::alloc_profiler::SamplingAllocator;
use pprof_server::{Handler, Peer};

#[global_allocator]
static ALLOCATOR: SamplingAllocator = SamplingAllocator::new();

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let pprof = Handler::new();
    let app = Router::new()
        .nest_service("/debug/pprof", pprof.clone())
        .nest_service("/internal/profiles", pprof.clone())
        // This is optional: with it, each client has one `seconds=N` of a kind at a time.
        .layer(map_request(tell_peer))
        .route("/", get(|| async { "hello" }));

    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("http://{}/debug/pprof/", listener.local_addr()?);
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(async move {
            let _ = tokio::signal::ctrl_c().await;
            // Else axum would wait for the longest delta.
            pprof.shutdown();
        })
        .await
}

async fn tell_peer(ConnectInfo(peer): ConnectInfo<SocketAddr>, mut request: Request) -> Request {
    request.extensions_mut().insert(Peer::from(peer));
    request
}
