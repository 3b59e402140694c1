//! E75: profiles are pushed over TLS to an engine for whose certificate an authority vouches, and to no other.
//!
//! Each program is a process of its own, because the file of authorities is named by its environment.

#[expect(dead_code, reason = "the tests of push use more of it")]
#[path = "../pprof-server/tests/push/engine.rs"]
mod engine;

use std::fs;
use std::hint::black_box;
use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use engine::{Answer, Engine, allocated_by, read_request, wait_until};
use pprof_server::Push;
use pprof_server::alloc_profiler::{SamplingAllocator, set_sampling_interval};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tempfile::TempDir;

#[global_allocator]
static ALLOCATOR: SamplingAllocator = SamplingAllocator::new();

/// Tell a program where the engine is, how many pushes it will refuse first, and whether it takes one at all.
const URL: &str = "PUSH_TLS_URL";
const FAILURES: &str = "PUSH_TLS_FAILURES";
const IS_TAKEN: &str = "PUSH_TLS_IS_TAKEN";

/// What a call of [`work`] allocates, in bytes.
const ALLOCATED: i64 = 10 * 7_000;

const REMEDY: &str = "SSL_CERT_FILE=";
const FAILED: &str = "a profile could not be pushed";

#[inline(never)]
fn work(kept: &mut Vec<Vec<u8>>) {
    (0..10).for_each(|_| kept.push(black_box(vec![1; 7_000])));
}

/// Each process runs this test. It does nothing if the variables that tell it what to do are missing.
#[test]
fn program() {
    let Ok(url) = std::env::var(URL) else { return };
    let failures: u64 = std::env::var(FAILURES).unwrap().parse().unwrap();
    set_sampling_interval(1);
    let builder = Push::builder(url).label("service_name", "tests").without_cpu();
    let push = builder.every(Duration::from_millis(100)).start().unwrap();
    let mut kept = Vec::with_capacity(1000);
    for number in 1..=failures {
        work(&mut kept);
        wait_until("a failure", || push.counts().unsent >= number);
    }
    if std::env::var(IS_TAKEN).unwrap() == "true" {
        work(&mut kept);
        wait_until("a push", || push.counts().accepted > 0);
    }
    work(&mut kept);
    assert_eq!(push.counts().unknown, 0, "{:?}", push.counts());
    drop(push);
}

/// Runs the program, and returns its lines on standard error that are of pushing.
fn run(address: SocketAddr, authorities: &Path, failures: u64, is_taken: bool) -> Vec<String> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "program"]).env_remove("SSL_CERT_DIR").env("SSL_CERT_FILE", authorities);
    command.env(URL, format!("https://{address}")).env(FAILURES, failures.to_string());
    let output = command.env(IS_TAKEN, is_taken.to_string()).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stdout));
    told.lines().filter(|line| line.contains("pushed")).map(str::to_owned).collect()
}

/// Signs certificates, and is believed by whoever reads its file.
struct Authority(Issuer<'static, KeyPair>);

impl Authority {
    /// Makes one that has its own certificate in that file.
    fn new(name: &str, file: &Path) -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        fs::write(file, params.self_signed(&key).unwrap().pem()).unwrap();
        Authority(Issuer::new(params, key))
    }

    /// Makes what an engine of that name shows.
    fn certificate_of(&self, host: &str) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([host.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap().der().clone();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        Arc::new(builder.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap())
    }
}

/// Speaks TLS in front of an engine that does not, on each connection with the certificate that is chosen for its number.
fn in_front_of(engine: &Engine, choose: impl Fn(usize) -> Arc<ServerConfig> + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let behind = engine.address;
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            // A client that does not believe the certificate goes away.
            let _ = pass_on(stream.unwrap(), choose(number), behind);
        }
    });
    address
}

fn pass_on(stream: TcpStream, config: Arc<ServerConfig>, behind: SocketAddr) -> io::Result<()> {
    let session = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut reader = BufReader::new(StreamOwned::new(session, stream));
    let (head, body) = read_request(&mut reader)?;
    let mut plain = TcpStream::connect(behind)?;
    plain.write_all(&[head.into_bytes(), body].concat())?;
    let mut answer = Vec::new();
    plain.read_to_end(&mut answer)?;
    let mut stream = reader.into_inner();
    stream.write_all(&answer)?;
    stream.conn.send_close_notify();
    stream.flush()
}

/// What the engine was told that the program has allocated.
fn told(engine: &Engine) -> i64 {
    allocated_by("push_over_tls::work", &engine.received())
}

#[test]
fn profiles_arrive_where_an_authority_vouches_for_the_engine() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("authority.pem");
    let certificate = Authority::new("believed", &file).certificate_of("127.0.0.1");
    let engine = Engine::start(|_| Answer::Ok);
    let address = in_front_of(&engine, move |_| certificate.clone());
    let lines = run(address, &file, 0, true);
    assert_eq!(lines, [] as [&str; 0]);
    assert_eq!(told(&engine), 2 * ALLOCATED);
}

#[test]
fn an_engine_that_nobody_vouches_for_is_told_nothing_and_nothing_is_lost() {
    const FAILURES: u64 = 3;
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("authority.pem");
    let believed = Authority::new("believed", &file).certificate_of("127.0.0.1");
    let other = Authority::new("other", &folder.path().join("other.pem")).certificate_of("127.0.0.1");
    let engine = Engine::start(|_| Answer::Ok);
    let address =
        in_front_of(
            &engine,
            move |number| {
                if number < FAILURES as usize { other.clone() } else { believed.clone() }
            },
        );
    let lines = run(address, &file, FAILURES, true);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains(FAILED) && lines[0].contains("UnknownIssuer"), "{lines:?}");
    assert!(lines[0].contains(REMEDY), "{lines:?}");
    assert!(lines[1].ends_with(" again"), "{lines:?}");
    assert_eq!(told(&engine), (FAILURES as i64 + 2) * ALLOCATED);
    let first = &engine.received()[0];
    assert!(
        first.sums_of("push_over_tls::work")[1] >= FAILURES as i64 * ALLOCATED,
        "all that had come until then"
    );
}

#[test]
fn a_system_without_authorities_is_told_how_to_have_one() {
    let folder = TempDir::new().unwrap();
    let (file, empty) = (folder.path().join("authority.pem"), folder.path().join("empty.pem"));
    let certificate = Authority::new("not believed", &file).certificate_of("127.0.0.1");
    fs::write(&empty, "").unwrap();
    let engine = Engine::start(|_| Answer::Ok);
    let address = in_front_of(&engine, move |_| certificate.clone());
    let lines = run(address, &empty, 2, false);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains(FAILED) && lines[0].contains(REMEDY), "{lines:?}");
    assert!(engine.received().is_empty());
}

#[test]
fn a_certificate_of_another_host_is_not_believed() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("authority.pem");
    let certificate = Authority::new("believed", &file).certificate_of("engine.example");
    let engine = Engine::start(|_| Answer::Ok);
    let address = in_front_of(&engine, move |_| certificate.clone());
    let lines = run(address, &file, 2, false);
    assert_eq!(lines.len(), 1, "{lines:?}");
    // No authority is missing, so none is asked for.
    assert!(lines[0].contains("engine.example") && !lines[0].contains(REMEDY), "{lines:?}");
    assert!(engine.received().is_empty());
}
