//! Profiles on a bare hyper server: whatever is below a prefix goes to the handler, path and all.

use std::convert::Infallible;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use pprof_server::alloc_profiler::SamplingAllocator;
use pprof_server::{Body, Handler, Peer};

#[global_allocator]
static ALLOCATOR: SamplingAllocator = SamplingAllocator::new();

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let pprof = Handler::new();
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("http://{}/debug/pprof/", listener.local_addr()?);
    loop {
        let (stream, peer) = listener.accept().await?;
        let pprof = pprof.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            // This is optional: with it, each client has one `seconds=N` of a kind at a time.
            request.extensions_mut().insert(Peer::from(peer));
            respond(pprof.clone(), request)
        });
        let connection =
            http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
        tokio::spawn(connection);
    }
}

async fn respond(pprof: Handler, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let path = request.uri().path();
    if path == "/debug/pprof" || path.starts_with("/debug/pprof/") || path.starts_with("/internal/profiles/")
    {
        return Ok(pprof.respond(request).await);
    }
    Ok(Response::new(Body::from("hello")))
}
