//! `tokio` and `hyper` run a small JSON service and its clients, over sockets of this machine.
//!
//! Server and clients share one thread: what they cost is then measured without the scheduler's say in which
//! core wakes up when, and the time per request is all the work that a request is. With more threads, each has a
//! service and clients of its own.

use std::cell::RefCell;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime;
use tokio::task::LocalSet;

use super::{Outcome, threads};
use crate::clock::Length;
use crate::request;

const CONNECTIONS: usize = 16;

/// Measures the nanoseconds per request, and in one thread also how long the slowest request in a hundred took.
pub(super) fn serve(request: &request::Request) -> Outcome {
    match request.threads {
        0 | 1 => serve_for(request.length),
        _ => threads::in_each(request, |length| serve_for(length).nanos),
    }
}

fn serve_for(length: Length) -> Outcome {
    let runtime = runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
    let tasks = LocalSet::new();
    tasks.block_on(&runtime, async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        tokio::task::spawn_local(accept(listener));
        let (warm_up, length) = match length {
            Length::Time(time) => (Length::Time(time / 10), length),
            Length::Operations(_) => (Length::Operations(CONNECTIONS as u64), length),
        };
        load(address, warm_up).await;
        load(address, length).await
    })
}

async fn accept(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).expect("a socket");
        tokio::task::spawn_local(
            hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(answer)),
        );
    }
}

/// An order comes in as JSON; its lines are priced and go out as JSON.
async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await.expect("our client sends whole bodies").to_bytes();
    let order: Value = serde_json::from_slice(&body).expect("our client sends JSON");
    let lines: Vec<Value> = order["lines"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|line| json!({"article": line["article"], "cents": 199 * line["count"].as_u64().unwrap_or(0)}))
        .collect();
    let priced = json!({"order": path, "customer": order["customer"], "lines": lines}).to_string();
    let response = Response::builder().header("content-type", "application/json").body(priced.into());
    Ok(response.expect("a valid header"))
}

/// Sends requests on every connection, each as soon as the last one is answered.
async fn load(address: SocketAddr, length: Length) -> Outcome {
    let start = Instant::now();
    let is_over = move |done: u64| match length {
        Length::Time(time) => start.elapsed() >= time,
        Length::Operations(operations) => done >= operations.div_ceil(CONNECTIONS as u64),
    };
    let times: Rc<RefCell<Vec<Duration>>> = Rc::default();
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|number| tokio::task::spawn_local(client(address, number, is_over, Rc::clone(&times))))
        .collect();
    for client in clients {
        client.await.expect("a client does not panic");
    }
    let nanos = start.elapsed().as_nanos() as f64;
    let mut times = times.take();
    times.sort_unstable();
    let slow = times[(times.len() - 1) * 99 / 100].as_nanos() as f64 / 1000.0;
    Outcome { nanos: nanos / times.len() as f64, note: Some(format!("p99_us={slow:.1}")) }
}

async fn client(
    address: SocketAddr,
    number: usize,
    is_over: impl Fn(u64) -> bool,
    times: Rc<RefCell<Vec<Duration>>>,
) {
    let stream = TcpStream::connect(address).await.expect("our own server");
    stream.set_nodelay(true).expect("a socket");
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("HTTP/1");
    tokio::task::spawn_local(connection);
    let lines: Vec<Value> = (0..8).map(|n| json!({"article": format!("article {n}"), "count": n})).collect();
    let order = json!({"customer": format!("customer {number}"), "lines": lines}).to_string();
    let mut done = 0;
    // There is one request at least, however slow the profiler is.
    while done == 0 || !is_over(done) {
        let sent = Instant::now();
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("/orders/{done}"))
            .header("host", "localhost")
            .body(Full::new(Bytes::from(order.clone())))
            .expect("a valid request");
        let response = sender.send_request(request).await.expect("an answer");
        let body = response.into_body().collect().await.expect("a whole body").to_bytes();
        let priced: Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(priced["lines"].as_array().map(Vec::len), Some(8));
        times.borrow_mut().push(sent.elapsed());
        done += 1;
    }
}
