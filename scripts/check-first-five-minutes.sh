#!/usr/bin/env bash
# Does what a new user does in the first five minutes: takes a clean clone and an axum app, adds our dependency and our one
# line, and then uses curl and go tool pprof, which must name the line that leaks. It fails if that takes longer than five
# minutes, including the build of everything that the app depends on, unless `one_line_in_a_fresh_crate` has built that already.
set -euo pipefail
cd "$(dirname "$0")/.."
fail() { echo "check-first-five-minutes.sh: $*" >&2; exit 1; }

PATH="$(scripts/install-go.sh):$PATH"
# The settings are those of that test and of the workspace, or nothing would be shared.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}" CARGO_PROFILE_DEV_DEBUG=limited CARGO_INCREMENTAL=0
work=$(mktemp -d) app=
trap '[[ -z $app ]] || kill "$app" 2>/dev/null || true; rm -rf "$work"' EXIT
export PPROF_TMPDIR="$work/fetched"

git clone --quiet . "$work/alloc-profiler"
cargo new --quiet --vcs none "$work/app" && cd "$work/app"
# The versions that everything else is tested with.
cp ../alloc-profiler/Cargo.lock .
cargo add --quiet --no-default-features --features http1,tokio axum
cargo add --quiet --features macros,rt-multi-thread tokio
# So are these.
printf '\n[profile.dev.package]\n' >>Cargo.toml
printf '%s = { opt-level = 2 }\n' addr2line gimli object zlib-rs >>Cargo.toml
cat >src/main.rs <<'END'
use std::sync::Mutex;

static SESSIONS: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

async fn log_in() -> &'static str {
    SESSIONS.lock().unwrap().push(vec![1; 1 << 20]);
    "welcome"
}

#[tokio::main]
async fn main() {
    let app = axum::Router::new().route("/log-in", axum::routing::get(log_in));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("app: http://{}", listener.local_addr().unwrap());
    axum::serve(listener, app).await.unwrap();
}
END

started=$SECONDS
line=$(grep -m 1 -o 'pprof_server::install!();' ../alloc-profiler/README.md) || fail "README.md does not say the line"
cargo add --quiet --path ../alloc-profiler/pprof-server
sed -i "s/^async fn main() {/&\n    $line/" src/main.rs
cargo build --quiet
# Port 6060 as documented, or any other if it is taken.
address=127.0.0.1:6060
! (: <>/dev/tcp/127.0.0.1/6060) 2>/dev/null || address=127.0.0.1:0
PPROF_ADDR=$address "$CARGO_TARGET_DIR/debug/app" >out 2>err & app=$!
for _ in $(seq 100); do grep -q '^app: ' out && break; sleep 0.1; done
[[ $address != *:0 ]] || { address=$(grep -m 1 -o 'profiles at http://[0-9.:]*' err); address=${address##*/}; }
url=$(sed -n 's/^app: //p' out)
for _ in $(seq 50); do curl --fail -sS "$url/log-in" >/dev/null; done
curl --fail -sS -o heap.out "http://$address/debug/pprof/heap"
go tool pprof -top -nodecount=5 heap.out | tee top
took=$((SECONDS - started))
awk '$1 ~ /B$/ && $2 ~ /%$/ { print $6; exit }' top | grep -q '^app::log_in' || fail "the first row is not the leak"
((took < 300)) || fail "it took $took seconds"
echo "A leak found $took seconds after the dependency was added, building included"
