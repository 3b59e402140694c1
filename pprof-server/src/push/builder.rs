//! A builder collects where profiles are pushed to, with which labels, by whom and how often.
//!
//! Path: *read path*; runs once for each engine.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ureq::http::{HeaderValue, Uri};

use super::Push;
use super::counts::Counts;
use super::cpu_sampler::CpuSampler;
use super::engine::{Engine, Patience};
use super::pace::Pace;
use super::protocol::{LabelPair, Protocol};
use super::pusher::{Pusher, State};
use crate::Error;
use crate::process;

/// The pause between two pushes unless it is set.
const DEFAULT_EVERY: Duration = Duration::from_secs(15);
/// The pauses that may be set.
const EVERY: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(3600);
/// How long the engine may take unless it is set.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// What may be set.
const TIMEOUTS: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(300);
/// Pyroscope takes 30 labels unless it is told otherwise, of which we add two and it adds others.
const MAX_LABELS: usize = 24;
const MAX_NAME_BYTES: usize = 1024;
const MAX_VALUE_BYTES: usize = 2048;
/// The label by which Pyroscope tells programs apart.
const SERVICE_NAME: &str = "service_name";

/// Collects the settings of a [`Push`].
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
///
/// let push = pprof_server::Push::builder("http://pyroscope:4040")
///     .label("service_name", "shop")
///     .label("pod", std::env::var("HOSTNAME").unwrap_or_default())
///     .tenant("team-a")
///     .basic_auth("shop", std::fs::read_to_string("/run/secrets/pyroscope").expect("mounted").trim())
///     .every(Duration::from_secs(60))
///     .start()?;
/// # Ok::<(), pprof_server::Error>(())
/// ```
#[derive(Clone)]
#[must_use = "a builder does nothing until `start` is called"]
pub struct PushBuilder {
    url: String,
    protocol: Protocol,
    labels: Vec<(String, String)>,
    every: Duration,
    timeout: Duration,
    /// Holds the scheme and the secret.
    authorization: Option<String>,
    tenant: Option<String>,
    has_cpu: bool,
}

impl PushBuilder {
    pub(super) fn new(url: String) -> PushBuilder {
        PushBuilder {
            url,
            protocol: Protocol::Pyroscope,
            labels: Vec::new(),
            every: DEFAULT_EVERY,
            timeout: DEFAULT_TIMEOUT,
            authorization: None,
            tenant: None,
            has_cpu: true,
        }
    }

    /// Sends profiles by OTLP over HTTP, as the OpenTelemetry Collector takes them at its port 4318, instead of Pyroscope's protocol.
    ///
    /// The part of OTLP that carries profiles is in development, and so is this: an engine must be of a version that knows
    /// opentelemetry-proto 1.10, as the Collector 0.165 does behind its gate `service.profilesSupport`. What an engine has
    /// rejected of a profile that it took is told, and is not sent again.
    #[cfg(feature = "push-otlp")]
    #[cfg_attr(docsrs, doc(cfg(feature = "push-otlp")))]
    pub fn otlp(mut self) -> PushBuilder {
        self.protocol = Protocol::Otlp;
        self
    }

    /// Gives all profiles a label, at most 24 in all. Its name has letters, digits and `_`, and begins neither with a digit nor with
    /// `__`. A label without a value is left out. Without a `service_name`, the name of the program's file is that.
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> PushBuilder {
        self.labels.push((name.into(), value.into()));
        self
    }

    /// Sets the time between two pushes: 100 ms to 1 hour, 15 s unless this is called. While the engine takes nothing, it doubles
    /// with each push, up to 10 minutes, and differs by chance.
    pub fn every(mut self, every: Duration) -> PushBuilder {
        self.every = every;
        self
    }

    /// Sets how long the engine may take to be connected to, to take a profile, and to answer, each: 100 ms to 5 minutes, 10 s unless
    /// this is called, and 2 s at most at the end of the program. A profile that was sent whole, and not answered within that time, is
    /// not sent again.
    pub fn timeout(mut self, timeout: Duration) -> PushBuilder {
        self.timeout = timeout;
        self
    }

    /// Sends a user and a password, by HTTP Basic. Where others can listen in, they need a connection that is encrypted, as a URL
    /// with `https` has.
    pub fn basic_auth(mut self, user: impl AsRef<str>, password: impl AsRef<str>) -> PushBuilder {
        let text = format!("{}:{}", user.as_ref(), password.as_ref());
        self.authorization = Some(format!("Basic {}", BASE64_STANDARD.encode(text)));
        self
    }

    /// Sends a token, as `Authorization: Bearer TOKEN`. What is said of [`basic_auth`](PushBuilder::basic_auth) holds for it too.
    pub fn bearer_token(mut self, token: impl AsRef<str>) -> PushBuilder {
        self.authorization = Some(format!("Bearer {}", token.as_ref()));
        self
    }

    /// Names the tenant whose profiles these are, as `X-Scope-OrgID`.
    pub fn tenant(mut self, id: impl Into<String>) -> PushBuilder {
        self.tenant = Some(id.into());
        self
    }

    /// Pushes heap profiles alone: CPU time is not sampled.
    pub fn without_cpu(mut self) -> PushBuilder {
        self.has_cpu = false;
        self
    }

    /// Begins to push. See [`push`](crate::push) for what it costs.
    ///
    /// # Errors
    ///
    /// [`Error::Push`] for settings that will not do, and [`Error::Start`] if there are no threads or no memory left.
    pub fn start(self) -> Result<Push, Error> {
        alloc_profiler::init_from_env();
        alloc_profiler::unsampled(|| {
            let pusher = self.pusher(alloc_profiler::snapshot)?;
            if !process::can_start() {
                return Err(Error::Start { source: process::no_memory() });
            }
            Push::start(pusher)
        })
    }

    /// Makes what pushes profiles of the snapshots that `snapshot` takes.
    pub(super) fn pusher(self, snapshot: fn() -> alloc_profiler::Snapshot) -> Result<Pusher, Error> {
        if !EVERY.contains(&self.every) {
            return Err(refused(
                format!("the time between two pushes {:?}", self.every),
                "it may be 100 ms to 1 hour",
            ));
        }
        if !TIMEOUTS.contains(&self.timeout) {
            return Err(refused(format!("the timeout {:?}", self.timeout), "it may be 100 ms to 5 minutes"));
        }
        check_url(&self.url, cfg!(feature = "push-tls"))?;
        let engine = Engine::new(&self.url, self.protocol, self.headers()?);
        Ok(Pusher {
            engine,
            labels: labels(self.labels)?,
            snapshot,
            pace: Pace::new(self.every, Instant::now()),
            patience: Patience(self.timeout),
            cpu: CpuSampler::new(self.has_cpu),
            counts: Arc::new(Counts::default()),
            is_over: Arc::default(),
            state: State::default(),
        })
    }

    fn headers(&self) -> Result<Vec<(&'static str, HeaderValue)>, Error> {
        let mut headers = Vec::new();
        if let Some(secret) = &self.authorization {
            let Ok(mut value) = HeaderValue::from_str(secret) else {
                return Err(refused(
                    "the token (which is not shown)".to_owned(),
                    "it has ASCII characters only, and no line break",
                ));
            };
            value.set_sensitive(true);
            headers.push(("Authorization", value));
        }
        if let Some(tenant) = &self.tenant {
            let value = HeaderValue::from_str(tenant).ok().filter(|value| !value.is_empty());
            let value = value.ok_or_else(|| {
                refused(format!("the tenant {tenant:?}"), "it has ASCII characters only, at least one")
            })?;
            headers.push(("X-Scope-OrgID", value));
        }
        Ok(headers)
    }
}

impl fmt::Debug for PushBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PushBuilder")
            .field("url", &self.url)
            .field("protocol", &self.protocol)
            .field("labels", &self.labels)
            .field("every", &self.every)
            .field("timeout", &self.timeout)
            .field("has_authorization", &self.authorization.is_some())
            .field("tenant", &self.tenant)
            .field("has_cpu", &self.has_cpu)
            .finish()
    }
}

fn refused(setting: String, remedy: &'static str) -> Error {
    Error::Push { setting, remedy }
}

fn check_url(url: &str, speaks_tls: bool) -> Result<(), Error> {
    let refused = |remedy| Err(refused(format!("the URL {url:?}"), remedy));
    let usual = "it looks like http://HOST:PORT, with a path if the engine is below one";
    let Ok(uri) = url.parse::<Uri>() else { return refused(usual) };
    match uri.scheme_str() {
        Some("http") => {}
        Some("https") if speaks_tls => {}
        Some("https") => {
            return refused(
                "https needs the feature push-tls of pprof-server, or a proxy beside the program that speaks TLS",
            );
        }
        _ => return refused(usual),
    }
    let Some(authority) = uri.authority().filter(|authority| !authority.host().is_empty()) else {
        return refused(usual);
    };
    if authority.as_str().contains('@') {
        // The secret is not repeated.
        let setting = format!("the URL of {:?}", authority.host());
        return Err(Error::Push { setting, remedy: "a user and a password are set by basic_auth()" });
    }
    if uri.query().is_some() {
        return refused("it has no query (?…)");
    }
    Ok(())
}

/// Returns the labels of every profile.
fn labels(given: Vec<(String, String)>) -> Result<Vec<LabelPair>, Error> {
    if given.len() > MAX_LABELS {
        return Err(refused(format!("the number of labels {}", given.len()), "there may be 24"));
    }
    let mut labels: Vec<LabelPair> = Vec::new();
    for (name, value) in given {
        let is_again = labels.iter().any(|label| label.name == name);
        if is_again || !is_name(&name) {
            let remedy =
                "its name has letters, digits and _, begins neither with a digit nor with __, and comes once";
            return Err(refused(format!("the label {name:?}"), remedy));
        }
        if value.len() > MAX_VALUE_BYTES {
            return Err(refused(format!("the value of the label {name:?}"), "it has at most 2048 bytes"));
        }
        if !value.is_empty() {
            labels.push(LabelPair::new(name, value));
        }
    }
    if !labels.iter().any(|label| label.name == SERVICE_NAME) {
        labels.push(LabelPair::new(SERVICE_NAME, program_name()));
    }
    Ok(labels)
}

fn is_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let begins = name.bytes().next().is_some_and(|first| !first.is_ascii_digit());
    begins && !name.starts_with("__") && name.len() <= MAX_NAME_BYTES && name.bytes().all(is_allowed)
}

/// Returns the name of the program's file.
fn program_name() -> String {
    let path = std::env::current_exe().unwrap_or_default();
    path.file_name().map_or_else(|| "unknown".to_owned(), |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused_with(builder: PushBuilder) -> String {
        builder.pusher(alloc_profiler::snapshot).unwrap_err().to_string()
    }

    fn builder() -> PushBuilder {
        Push::builder("http://127.0.0.1:4040")
    }

    #[test]
    fn what_will_not_do_is_named_with_what_will() {
        for (url, expected) in [
            ("127.0.0.1:4040", "http://HOST:PORT"),
            ("ftp://127.0.0.1", "http://HOST:PORT"),
            ("/push", "http://HOST:PORT"),
            ("", "http://HOST:PORT"),
            ("http://", "http://HOST:PORT"),
            ("http://a b", "http://HOST:PORT"),
            ("http://127.0.0.1/?a=b", "no query"),
        ] {
            let text = refused_with(Push::builder(url));
            assert!(text.contains(&format!("{url:?}")) && text.contains(expected), "{text}");
        }
        for (name, value) in [("", "a"), ("1a", "a"), ("__name__", "a"), ("a-b", "a"), ("ä", "a")] {
            let text = refused_with(builder().label(name, value));
            assert!(
                text.contains(&format!("the label {name:?}")) && text.contains("letters, digits"),
                "{text}"
            );
        }
        assert!(refused_with(builder().label("a", "b").label("a", "c")).contains("comes once"));
        assert!(refused_with(builder().label("a", "b".repeat(2049))).contains("2048 bytes"));
        let many = (0..25).fold(builder(), |builder, number| builder.label(format!("l{number}"), "a"));
        assert!(refused_with(many).contains("25"));
        assert!(refused_with(builder().every(Duration::from_millis(99))).contains("100 ms to 1 hour"));
        assert!(refused_with(builder().timeout(Duration::from_secs(301))).contains("100 ms to 5 minutes"));
        assert!(refused_with(builder().tenant("")).contains("the tenant \"\""));
        assert!(refused_with(builder().tenant("a\nb")).contains("the tenant \"a\\nb\""));
    }

    #[test]
    fn secrets_are_not_repeated() {
        let secret = "sesame\n";
        let text = refused_with(builder().bearer_token(secret));
        assert!(text.contains("the token") && !text.contains("sesame"), "{text}");
        let text = refused_with(Push::builder("http://me:sesame@127.0.0.1:4040"));
        assert!(text.contains("basic_auth()") && !text.contains("sesame"), "{text}");
        let builder = builder().basic_auth("me", "sesame");
        assert!(!format!("{builder:?}").contains(&BASE64_STANDARD.encode("me:sesame")), "{builder:?}");
        let pusher = builder.pusher(alloc_profiler::snapshot).unwrap();
        assert!(!format!("{pusher:?}").contains(&BASE64_STANDARD.encode("me:sesame")), "{pusher:?}");
    }

    #[test]
    fn https_needs_its_feature() {
        let url = "https://127.0.0.1";
        check_url(url, true).unwrap();
        let text = check_url(url, false).unwrap_err().to_string();
        assert!(text.contains("the feature push-tls of pprof-server"), "{text}");
        let pusher = Push::builder(url).pusher(alloc_profiler::snapshot);
        assert_eq!(pusher.is_ok(), cfg!(feature = "push-tls"));
    }

    #[test]
    fn labels_are_those_given_with_a_service_name() {
        let of = |builder: PushBuilder| {
            let labels = builder.pusher(alloc_profiler::snapshot).unwrap().labels;
            labels.into_iter().map(|label| (label.name, label.value)).collect::<Vec<_>>()
        };
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            of(builder().label("pod", "a").label("zone", "").label("service_name", "shop")),
            [pair("pod", "a"), pair("service_name", "shop")]
        );
        let own = of(builder());
        assert!(
            own.len() == 1 && own[0].0 == "service_name" && own[0].1.starts_with("pprof_server"),
            "{own:?}"
        );
    }
}
