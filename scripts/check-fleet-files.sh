#!/usr/bin/env bash
# Checks the files of docs/fleet by what knows them: the manifests by the schemas of Kubernetes, the dashboard by Grafana's
# own library, which refuses fields that it does not know, and its expressions by promtool; the proxy's configuration by nginx
# itself, where Debian's package can be had. All come into .tools. `cargo test -p pprof-server --test fleet_files` tests the alert rules.
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

nginx=.tools/nginx/usr/sbin/nginx
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
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
rules="$folder/rules.json"
jq '{groups: [[.panels[].targets[].expr] | to_entries[] | {name: "panel \(.key)",
  rules: [{record: "panel:\(.key)", expr: (.value | gsub("\\$(job|instance)"; ".*"))}]}]}' \
  docs/fleet/grafana-dashboard.json >"$rules"
"$promtool/promtool" check rules "$rules" || fail "the dashboard's expressions"
