#!/usr/bin/env bash
# Runs a fleet of demo processes with Parca and Prometheus on loopback: seven processes of two versions, one of which leaks, and a program that waits.
# It compares what Parca says with what the programs answered, finds the leak by the commands of
# docs/continuous-profiling.md, restarts a program, and kills Parca in the middle of its scrapes. With --replay it plays
# 200 pods to Parca instead, measures what that costs, and how far off a fleet's merged figure is that samples less. With --pyroscope, four processes push their profiles to Pyroscope instead,
# which is ended and started again meanwhile. With --scraped, Grafana Agent scrapes five processes by the configurations of Alloy and sends their
# profiles to Pyroscope. With --collector, two processes push theirs by OTLP to the OpenTelemetry Collector, and what
# it passes on is compared with what was pushed. It prints a table, and fails if anything in it is not right.
#
# Parca is built from its Go module, once, into .tools: that takes some minutes of a core. `PARCA=/path/to/parca` takes
# another one. So is Pyroscope, which takes longer, or `PYROSCOPE=/path/to/pyroscope`; it is under the AGPL, runs as it is, and nothing
# of it is kept here. The Collector is built by its own builder, of the parts that are needed, or is `COLLECTOR=/path/to/it`. The check of Parca takes
# about four minutes, that of Pyroscope two, and that of the Collector one. They are not part of test.sh.
# Alloy and the Collector's pprof receiver cannot be had: Go's module proxy refuses both (403). In Alloy's place is the Grafana Agent that it was
# made of, built of the components that profiles need, or `SCRAPER=/path/to/it`. The Collector validates the configurations with the receiver
# nevertheless: modules of ours have the settings that its sources publish.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
fail() { echo "check-fleet.sh: $*" >&2; exit 1; }

version=v0.28.0
parca=${PARCA:-$PWD/.tools/parca-$version}
source="$PWD/.tools/parca-source-$version"
pyroscope_version=v1.21.0
# The newest version of its API that this one has all methods of. Its own go.mod names a folder, which the module does not have.
pyroscope_api=v1.5.0
pyroscope=${PYROSCOPE:-$PWD/.tools/pyroscope-$pyroscope_version}
agent_version=v0.44.2
scraper=${SCRAPER:-$PWD/.tools/scraper-$agent_version}
collector_version=$(sed -n 's/^  version: /v/p' scripts/fleet/collector/builder.yaml)
collector=${COLLECTOR:-$PWD/.tools/collector-$collector_version}

# Leaves out how Parca finds programs in clouds and stores profiles there, which nothing here uses: 700 of its 1800 packages.
leave_clouds_out() {
  sed -i 's#prometheus/discovery/install"#prometheus/discovery/file"#' pkg/config/config.go
  local stores="$source/stores" provider
  # It may not be on the machine yet.
  cp -r "$(GOFLAGS=-mod=mod go mod download -json github.com/thanos-io/objstore | jq -r .Dir)" "$stores" || return
  chmod -R u+w "$stores"
  for provider in azure bos cos obs oci oss swift; do
    sed -i -e "\#objstore/providers/$provider\"#d" -e "/^\tcase /{N; / = $provider\./d}" "$stores/client/factory.go"
  done
  cp "$root/scripts/fleet/store_without_sdk.go" "$stores/providers/s3/s3_aws_sdk_auth.go"
  go mod edit -replace "github.com/thanos-io/objstore=$stores"
}

build_parca() {
  local module
  rm -rf "$source"
  module=$(go mod download -json "github.com/parca-dev/parca@$version") || fail "no Parca: $module"
  cp -r "$(jq -r .Dir <<<"$module")" "$source"
  chmod -R u+w "$source"
  # The module has no built user interface, which the program embeds. Nothing of it is used here.
  mkdir -p "$source/ui/packages/app/web/build"
  echo '<!doctype html><title>no user interface</title>' >"$source/ui/packages/app/web/build/index.html"
  (cd "$source" && leave_clouds_out && GOFLAGS=-mod=mod nice -n 10 go build -p "${GO_BUILDS:-1}" -o "$parca" ./cmd/parca)
  rm -rf "$source"
}

build_pyroscope() {
  local module folder="$PWD/.tools/pyroscope-source-$pyroscope_version"
  rm -rf "$folder"
  module=$(go mod download -json "github.com/grafana/pyroscope@$pyroscope_version") || fail "no Pyroscope: $module"
  cp -r "$(jq -r .Dir <<<"$module")" "$folder"
  chmod -R u+w "$folder"
  rm -f "$folder"/go.work*
  (cd "$folder" && go mod edit -replace "github.com/grafana/pyroscope/api=github.com/grafana/pyroscope/api@$pyroscope_api" &&
    GOFLAGS=-mod=mod nice -n 10 go build -p "${GO_BUILDS:-1}" -o "$pyroscope" ./cmd/pyroscope)
  rm -rf "$folder"
}

build_scraper() {
  local module folder="$PWD/.tools/agent-source-$agent_version"
  rm -rf "$folder"
  module=$(go mod download -json "github.com/grafana/agent@$agent_version") || fail "no Grafana Agent: $module"
  cp -r "$(jq -r .Dir <<<"$module")" "$folder"
  chmod -R u+w "$folder"
  mkdir "$folder/cmd/scraper"
  cp scripts/fleet/scraper.go "$folder/cmd/scraper/main.go"
  (cd "$folder" && GOFLAGS=-mod=mod nice -n 10 go build -p "${GO_BUILDS:-1}" -o "$scraper" ./cmd/scraper)
  rm -rf "$folder"
}

build_collector() {
  local folder="$PWD/.tools/collector-source-$collector_version"
  rm -rf "$folder"
  mkdir -p "$folder"
  cp -r scripts/fleet/collector/* "$folder"
  (cd "$folder" &&
    GOFLAGS=-mod=mod go run "go.opentelemetry.io/collector/cmd/builder@$collector_version" --config=builder.yaml --skip-compilation &&
    cd built && GOFLAGS=-mod=mod nice -n 10 go build -p "${GO_BUILDS:-1}" -o "$collector" .)
  rm -rf "$folder"
}

PATH="$(scripts/install-go.sh):$PATH"
if [[ ${1-} == --pyroscope || ${1-} == --scraped ]]; then
  [[ -x $pyroscope ]] || build_pyroscope
  [[ $1 == --pyroscope || -x $scraper ]] || build_scraper
elif [[ ${1-} == --collector ]]; then
  # It may be there with other parts, or not at all, which find complains of.
  [[ -n ${COLLECTOR-} || -z $(find scripts/fleet/collector -newer "$collector" 2>&1) ]] || build_collector
else
  [[ -x $parca ]] || build_parca
fi
promtool=$(scripts/install-promtool.sh)
PATH="$PATH${promtool:+:$promtool}"

demo=$(scripts/build-demo.sh --features push-otlp)
# Its tasks are told by the types of its own futures, which the debug information has in full.
build_example() { # its name
  cargo rustc --quiet --release -p pprof-server --example "$1" -- -C debuginfo=2
  realpath "${CARGO_TARGET_DIR:-target}/release/examples/$1"
}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export PYTHONDONTWRITEBYTECODE=1
if [[ ${1-} == --replay ]]; then
  python3 scripts/fleet/replay.py "$parca" "$demo" "$(build_example holds)" "$folder"
elif [[ ${1-} == --collector ]]; then
  python3 scripts/fleet/check_collector.py "$collector" "$demo" "$folder"
elif [[ ${1-} == --scraped ]]; then
  python3 scripts/fleet/check_scraped.py "$scraper" "$pyroscope" "$pyroscope_version" "$demo" "$(build_example waits)" "$folder"
elif [[ ${1-} == --pyroscope ]]; then
  python3 scripts/fleet/check_pyroscope.py "$pyroscope" "$pyroscope_version" "$demo" "$folder"
else
  python3 scripts/fleet/check.py "$parca" "$version" "$demo" "$(build_example waits)" "$folder"
fi
