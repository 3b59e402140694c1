#!/usr/bin/env bash
# Opens profiles of the running demo with readers other than Go's own tool: the standalone pprof of 2021, built from
# Debian's source package, and speedscope in a browser. It is not part of test.sh, because it installs a browser. It needs
# Debian, and root. docs/continuous-profiling.md has the results.
set -euo pipefail
cd "$(dirname "$0")/.."
fail() { echo "check-readers.sh: $*" >&2; exit 1; }

[[ $EUID == 0 ]] && command -v apt-get >/dev/null || fail "needs Debian, and root to install packages"
command -v npm >/dev/null || fail "needs npm, to fetch speedscope"
PATH="$(scripts/install-go.sh):$PATH"
apt-get install -y -qq --no-install-recommends golang-github-google-pprof-dev chromium curl >/dev/null
readers="$PWD/.tools/readers"
npm install --silent --no-save --prefix "$readers" speedscope@1.25.0 >/dev/null
# Debian's packages are laid out as a GOPATH.
GO111MODULE=off GOFLAGS='' GOPATH=/usr/share/gocode go build -o "$readers/pprof" github.com/google/pprof

demo_leak=$(scripts/build-demo.sh)
work=$(mktemp -d) demo=
trap '[[ -z $demo ]] || kill "$demo" 2>/dev/null || true; rm -rf "$work"' EXIT
export PPROF_TMPDIR="$work/fetched"
PPROF_ADDR=127.0.0.1:0 "$demo_leak" --listen 127.0.0.1:0 \
  --idle-seconds 1 --load-seconds 8 >"$work/log" 2>/dev/null & demo=$!
for _ in $(seq 100); do ! grep -q '| load  ' "$work/log" || break; sleep 0.1; done
url=$(grep -m 1 '^pprof:' "$work/log") || fail "the demo does not say where it serves: $(cat "$work/log")"
url=${url##* }; url=${url%/}
curl --fail -sS -o "$work/since-last-call" "$url/delta_heap?client=readers"
curl --fail -sS -o "$work/delta" "$url/heap?seconds=3"
curl --fail -sS -o "$work/since-last-call" "$url/delta_heap?client=readers"
curl --fail -sS -o "$work/heap" "$url/heap"
curl --fail -sS -o "$work/bare" "$url/heap?symbolize=none"

leak=demo_leak::reader::Reader::start
first() { awk 'found { print $NF; exit } $1 == "flat" { found = 1 }' <<<"$1"; }
for profile in heap delta since-last-call; do
  top=$("$readers/pprof" -top "$work/$profile" 2>&1) || fail "pprof, $profile: $top"
  [[ $(first "$top") == "$leak" ]] || fail "pprof, $profile: $top"
  echo "pprof: $profile: $leak first"
done
# From a file it names addresses by the program, and from the server by asking it.
for source in "$work/bare" "-symbolize=remote $url/heap?symbolize=none"; do
  # shellcheck disable=SC2086 # an option, and what it is for
  top=$("$readers/pprof" -top -cum -nodefraction=0 $source 2>&1) || fail "pprof, $source: $top"
  grep -q 'reader.*Reader.*start' <<<"$top" || fail "pprof, $source: $top"
done
echo "pprof: symbolize=none: named, from a file and from the server"

for profile in heap delta since-last-call bare; do
  printf 'speedscope.loadFileFromBase64("%s", "%s")' "$profile" "$(base64 -w0 "$work/$profile")" >"$work/$profile.js"
  page="file://$readers/node_modules/speedscope/dist/release/index.html#localProfilePath=$work/$profile.js&view=sandwich"
  timeout 120 chromium --headless --no-sandbox --disable-gpu --enable-unsafe-swiftshader --allow-file-access-from-files \
    --user-data-dir="$work/browser" --virtual-time-budget=20000 --dump-dom "$page" >"$work/page" 2>/dev/null
  # Rows of three cells: total, self, and the name.
  row=$(sed 's/<[^>]*>/\n/g' "$work/page" | sed '/^$/d' | grep -A 3 -x 'Symbol Name' | tail -n +2 | tr '\n' ' ' || true)
  echo "speedscope: $profile: ${row:-$(grep -o 'Something went wrong' "$work/page")}"
  [[ $profile == @(delta|bare) || $row == *"$leak"* ]] || fail "speedscope, $profile: the leak is not first"
done
