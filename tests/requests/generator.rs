//! Requests, good ones, bad ones, and those that cost most, from a seed.

/// A request, and the endpoint that it is for.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) endpoint: &'static str,
    pub(crate) method: &'static str,
    pub(crate) target: String,
    pub(crate) body: String,
}

/// Where there is code to ask for.
#[derive(Clone, Debug)]
pub(crate) struct Code {
    /// Functions with long names.
    pub(crate) long: [u64; 2],
}

/// The same requests for the same seed.
pub(crate) struct Generator {
    state: u64,
    code: Code,
}

const ENDPOINTS: [&str; 14] = [
    "heap",
    "allocs",
    "heap",
    "allocs",
    "delta_heap",
    "leaks",
    "history",
    "mark",
    "metrics",
    "symbol",
    "symbol",
    "symbol",
    "cmdline",
    "",
];

/// Parameters that many endpoints have, the costly ones first.
const PARAMETERS: [&str; 36] = [
    "limit=none",
    "frames=all",
    "labels=age",
    "format=text&top=1000",
    "format=json&top=1000",
    "format=folded",
    "debug=1",
    "symbolize=none",
    "symbolize=names",
    "min_age=0s",
    "min_age=1h",
    "window=30s",
    "window=24h",
    "ago=1s",
    "ago=1h",
    "since=m1",
    "at=m2",
    "at=1",
    "since=m0&at=m3",
    "sample_index=alloc_objects",
    "sample_index=inuse_space",
    "limit=1",
    "limit=20000",
    "gc=1",
    "malloc=1",
    "client=a",
    "client=b",
    "top=1000",
    "top=1001",
    "seconds=0",
    "limit=x",
    "format=pprof",
    "debug=-3",
    "labels=none",
    "%zz",
    "a=%00",
];

impl Generator {
    pub(crate) fn new(seed: u64, code: Code) -> Generator {
        Generator { state: seed.wrapping_mul(2).wrapping_add(1), code }
    }

    /// Draws a number by Marsaglia's xorshift.
    fn below(&mut self, bound: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        ((u128::from(self.state) * bound as u128) >> 64) as usize
    }

    fn one_of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }

    pub(crate) fn next(&mut self) -> Request {
        let endpoint = ENDPOINTS[self.below(ENDPOINTS.len())];
        let (method, query, body) = match endpoint {
            "symbol" if self.below(4) == 0 => ("GET", self.words(30_000), String::new()),
            "symbol" => ("POST", String::new(), self.words(1 << 20)),
            "mark" if self.below(2) == 0 => {
                let name = self.below(20);
                ("POST", format!("name=m{name}&replace=1"), String::new())
            }
            _ => (self.one_of(&["GET", "GET", "GET", "GET", "HEAD", "PUT"]), self.query(), String::new()),
        };
        let path = if endpoint == "metrics" && self.below(2) == 0 { "/" } else { "/debug/pprof/" };
        let question = if query.is_empty() { "" } else { "?" };
        Request { endpoint, method, target: format!("{path}{endpoint}{question}{query}"), body }
    }

    fn query(&mut self) -> String {
        // A wait for a difference now and then: each takes a second.
        let mut parameters = if self.below(40) == 0 { vec!["seconds=1"] } else { Vec::new() };
        for _ in 0..self.below(4) {
            let parameter = self.one_of(&PARAMETERS);
            parameters.push(parameter);
        }
        parameters.join("&")
    }

    /// What `symbol` is asked for, of up to so many bytes.
    fn words(&mut self, most: usize) -> String {
        let bytes = most >> self.below(8);
        let here = self.code.long[self.below(2)];
        let (step, is_hex) = ([0, 1, 1, 4, 16, 4096][self.below(6)], self.below(2) == 0);
        let start = match self.below(4) {
            0 => self.below(1 << 20) as u64,
            1 => here.saturating_sub(self.below(1 << 22) as u64),
            _ => here + 1,
        };
        let mut words = String::with_capacity(bytes + 32);
        let mut address = start;
        while words.len() < bytes {
            match (is_hex, self.below(2000)) {
                (_, 0) => words.push_str("no-number+"),
                (true, _) => words.push_str(&format!("{address:#x}+")),
                (false, _) => words.push_str(&format!("{address}+")),
            }
            address = address.wrapping_add(step);
        }
        words.truncate(bytes);
        words
    }
}
