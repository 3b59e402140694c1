//! This program serves its profiles on an actix-web server. actix-web has request and response types of its own, so they are
//! converted. By default it lets a handler finish whose client has left, and a delta would wait to its end: see
//! `h1_allow_half_closed` below.

use actix_web::http::{StatusCode, header::CONTENT_LENGTH};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use http_body_util::{BodyExt, Full};
use pprof_server::alloc_profiler::SamplingAllocator;
use pprof_server::{Handler, Peer};

#[global_allocator]
static ALLOCATOR: SamplingAllocator = SamplingAllocator::new();

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    // One for all of actix-web's workers, so made outside of the closure.
    let pprof = web::Data::new(Handler::new());
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let server = HttpServer::new(move || {
        App::new()
            .app_data(pprof.clone())
            .service(web::resource(["/debug/pprof", "/debug/pprof/{name:.*}"]).to(respond))
            .service(web::resource("/internal/profiles/{name:.*}").to(respond))
            .route("/", web::get().to(|| async { "hello" }))
    })
    // A client that leaves ends its delta, and makes room for another.
    .h1_allow_half_closed(false)
    .workers(1)
    .bind(address)?;
    println!("http://{}/debug/pprof/", server.addrs()[0]);
    server.run().await
}

async fn respond(pprof: web::Data<Handler>, asked: HttpRequest, body: web::Bytes) -> HttpResponse {
    let mut request = http::Request::builder().method(asked.method().as_str()).uri(asked.uri().to_string());
    for (name, value) in asked.headers() {
        request = request.header(name.as_str(), value.as_bytes());
    }
    let Ok(mut request) = request.body(Full::new(body)) else {
        return HttpResponse::BadRequest().finish();
    };
    if let Some(peer) = asked.peer_addr() {
        // This is optional: with it, each client has one `seconds=N` of a kind at a time.
        request.extensions_mut().insert(Peer::from(peer));
    }

    let (head, body) = pprof.respond(request).await.into_parts();
    let status = StatusCode::from_u16(head.status.as_u16()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = HttpResponse::build(status);
    for (name, value) in head.headers.iter().filter(|(name, _)| name.as_str() != CONTENT_LENGTH.as_str()) {
        answer.append_header((name.as_str(), value.as_bytes()));
    }
    let Ok(body) = body.collect().await;
    answer.body(body.to_bytes())
}
