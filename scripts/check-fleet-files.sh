#!/usr/bin/env bash
# Checks the files of docs/fleet by what knows them: the manifests by the schemas of Kubernetes, the dashboard by Grafana's
# own library, which refuses fields that it does not know, and its expressions by promtool; the configurations of Alloy by its own
# parser; the rules for finding pods by promtool, which has Parca's; the proxy's configuration by nginx itself, where Debian's package can
# be had; the values of charts by rendering the charts. All come into .tools or Go's cache.
# `cargo test -p pprof-server --test fleet_files` tests the alert rules.
#
# The charts of Alloy and of the Collector lie in Go modules of others: that of Alloy in Pyroscope's, and the Collector's, an older one, among
# the tests of Trivy. Parca's chart is in no package registry: `PARCA_CHART=/path/to/chart` has its values rendered too.
set -euo pipefail
cd "$(dirname "$0")/.."
fail() { echo "check-fleet-files.sh: $*" >&2; exit 1; }

validate="$PWD/.tools/kubernetes-validate"
if ! [[ -x $validate/bin/kubernetes-validate ]]; then
  rm -rf "$validate"
  python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target "$validate" \
    kubernetes-validate==1.37.0
fi
for manifest in docs/fleet/kubernetes-*.yaml; do
  PYTHONPATH="$validate" python3 "$validate/bin/kubernetes-validate" --strict "$manifest" || fail "$manifest"
done

PATH="$(scripts/install-go.sh):$PATH"
(cd scripts/fleet/dashboard && nice go build -p 1 -o "$PWD/../../../.tools/check-dashboard" .)
.tools/check-dashboard docs/fleet/grafana-dashboard.json || fail "the dashboard"

(cd scripts/fleet/alloy && nice go build -p 1 -o "$PWD/../../../.tools/check-alloy" .)
alloy_of_values() { sed -n '/^    content: |/,/^  mounts:/{//!s/^      //p}' docs/fleet/values-alloy.yaml; }
# The chart takes it for a template.
alloy_of_values | grep -q '{{' && fail "values-alloy.yaml has a template's brackets in Alloy's configuration"
alloy_of_page() { sed -n '/^```alloy/,/^```/{//!p}' docs/continuous-profiling.md; }
for configuration in alloy_of_values alloy_of_page; do
  [[ -n $("$configuration") ]] || fail "no $configuration"
  "$configuration" | .tools/check-alloy || fail "$configuration"
done

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

(cd scripts/fleet/helm && nice go build -p 1 -o "$PWD/../../../.tools/check-helm" .)
in_module() { # module@version and the place in it: the path of that file
  local module
  module=$(go mod download -json "$1") || fail "no $1: $module"
  echo "$(jq -r .Dir <<<"$module")/$2"
}
check_values() { # chart, values, and a change of these that spoils a name, which has to be refused
  local manifest="$folder/rendered.yaml" misspelt="$folder/misspelt-${2##*/}"
  .tools/check-helm "$1" "$2" >"$manifest" || fail "$2 cannot be rendered"
  PYTHONPATH="$validate" python3 "$validate/bin/kubernetes-validate" --strict "$manifest" || fail "what the chart makes of $2"
  PYTHONPATH="$validate" PYTHONDONTWRITEBYTECODE=1 python3 scripts/fleet/charts.py "$2" "$manifest" || fail "what the chart makes of $2"
  sed "$3" "$2" >"$misspelt"
  ! cmp -s "$2" "$misspelt" || fail "$3 changes nothing in $2"
  ! .tools/check-helm "$1" "$misspelt" >"$manifest" 2>&1 || fail "a misspelt name in $2 is not refused"
}
chart=$(in_module github.com/grafana/pyroscope@v1.21.0 operations/pyroscope/helm/pyroscope/charts/alloy-1.5.2.tgz)
check_values "$chart" docs/fleet/values-alloy.yaml 's/^  mounts:/  mount:/'
tests_of_trivy=pkg/iac/scanners/helm/parser/testdata/multiple-archived-deps
chart=$(in_module github.com/aquasecurity/trivy@v0.60.0 "$tests_of_trivy/charts/opentelemetry-collector-0.108.0.tgz")
check_values "$chart" docs/fleet/values-collector.yaml 's/^extraEnvs:/extraEnv:/'
[[ -z ${PARCA_CHART-} ]] || check_values "$PARCA_CHART" docs/fleet/values-parca.yaml 's/^  scrapeConfigs:/  scrapeConfig:/'

nginx=.tools/nginx/usr/sbin/nginx
if ! [[ -x $nginx ]] && (cd "$folder" && apt-get download --quiet nginx >/dev/null 2>&1); then
  dpkg-deb --extract "$folder"/nginx_*.deb .tools/nginx
fi
if [[ -x $nginx ]]; then
  {
    echo "pid $folder/pid; error_log stderr; events {} http { access_log off; client_body_temp_path $folder; proxy_temp_path $folder;"
    echo "fastcgi_temp_path $folder; uwsgi_temp_path $folder; scgi_temp_path $folder;"
    sed -n '/default.conf: |/,/^---/{//!p}' docs/fleet/kubernetes-socket.yaml
    echo "}"
  } >"$folder/nginx.conf"
  "$nginx" -t -c "$folder/nginx.conf" || fail "the proxy's configuration"
fi

promtool=$(scripts/install-promtool.sh)
[[ -n $promtool ]] || exit 0
# Prometheus chooses and labels pods as Parca does. What Parca asks them for is none of its business, and Debian's promtool is built
# without the list of a cluster's pods, for which another one stands.
scrapes="$folder/scrapes.yaml"
{
  echo "scrape_configs:"
  sed -n '/^  scrapeConfigs:/,/^      profiling_config:/{//!s/^    /  /p}' docs/fleet/values-parca.yaml |
    sed -e 's/kubernetes_sd_configs:/static_configs:/' -e 's/- role: pod/- targets: ["127.0.0.1:6060"]/'
} >"$scrapes"
"$promtool/promtool" check config "$scrapes" || fail "the rules of values-parca.yaml"

rules="$folder/rules.json"
jq '{groups: [[.panels[].targets[].expr] | to_entries[] | {name: "panel \(.key)",
  rules: [{record: "panel:\(.key)", expr: (.value | gsub("\\$(job|instance)"; ".*"))}]}]}' \
  docs/fleet/grafana-dashboard.json >"$rules"
"$promtool/promtool" check rules "$rules" || fail "the dashboard's expressions"
