//! An axum server that tells which tenant's requests, on which route, hold memory and use CPU time.
//!
//! ```sh
//! curl -H 'x-tenant: acme' 'http://127.0.0.1:3000/remember/big'
//! go tool pprof -top -tagroot=tenant,route http://127.0.0.1:3000/debug/pprof/heap
//! ```

use std::sync::Mutex;

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::get;
use pprof_server::alloc_profiler::SamplingAllocator;
use pprof_server::{Handler, LabelFuture, LabelSet};

#[global_allocator]
static ALLOCATOR: SamplingAllocator = SamplingAllocator::new();

static REMEMBERED: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pprof = Handler::builder().heap_labels().handler()?;
    let app = Router::new()
        .route("/remember/{what}", get(remember))
        .route("/", get(|| async { "hello" }))
        .layer(from_fn(label))
        // What is added after the layer is not labelled by it.
        .nest_service("/debug/pprof", pprof);

    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("http://{}/debug/pprof/", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

/// Has the rest of the service work for the tenant of the request. The route is the pattern that matched, and not the path, so
/// that there are few of them.
async fn label(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("[none]", MatchedPath::as_str);
    let tenant = request.headers().get("x-tenant").and_then(|value| value.to_str().ok());
    let labels = LabelSet::current().with("route", route).with("tenant", tenant.unwrap_or("[none]"));
    next.run(request).labelled(labels).await
}

async fn remember() -> &'static str {
    let block = vec![1; 1 << 20];
    REMEMBERED.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(block);
    "remembered"
}
