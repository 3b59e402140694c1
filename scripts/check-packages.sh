#!/usr/bin/env bash
# Packages each library of the workspace as `cargo publish` would, and fails if something is missing in a package or does not
# belong there. Nothing is uploaded. With `--build` the packages are compiled too, by what is in them alone; that takes minutes
# and asks the registry for the dependencies that are not there yet.
set -euo pipefail
cd "$(dirname "$0")/.."
fail() { echo "check-packages.sh: $*" >&2; exit 1; }

verify=--no-verify
case ${1-} in --build) verify= ;; '') ;; *) fail "unknown argument: $1" ;; esac

# The libraries: what is not kept from being published. It also checks what the manifests say.
libraries=$(cargo metadata --format-version 1 --locked --no-deps | python3 -c '
import json, sys
for package in json.load(sys.stdin)["packages"]:
    if package["publish"] is None:
        asked = "description", "license", "readme", "repository", "rust_version", "keywords", "categories"
        missing = [field for field in asked if not package[field]]
        # A development dependency without a version is left out of the package.
        missing += ["the version of " + d["name"] for d in package["dependencies"] 
                    if "path" in d and d["kind"] is None and d["req"] == "*"]
        if missing:
            sys.exit("check-packages.sh: Cargo.toml of {} lacks {}".format(package["name"], ", ".join(missing)))
        print(package["name"], package["version"])
')
[[ -n $libraries ]] || fail "no package is to be published"

# All at once: a library may need another one that no registry has.
log=$(mktemp); trap 'rm -f "$log"' EXIT
mapfile -t arguments < <(sed 's/\([^ ]*\) .*/--package=\1/' <<<"$libraries")
cargo package --locked --allow-dirty $verify "${arguments[@]}" 2>"$log" || { cat "$log" >&2; fail "cargo package failed"; }

while read -r name version; do
  archive=${CARGO_TARGET_DIR:-target}/package/$name-$version.crate
  # Not piped into grep, which would hang up on tar.
  files=$(tar --list --gzip --file "$archive")
  has() { grep -qxF "$name-$version/$1" <<<"$files" || fail "$archive has no $1"; }
  has README.md; has LICENSE-MIT; has LICENSE-APACHE; has src/lib.rs
  [[ $name != pprof-server ]] || { has ui/dist/ui.js; has ui/dist/LICENSES.txt; }
  # Tests and the sources of the page need what is not in a package.
  ! stray=$(grep -E '/(tests|benches|fuzz|ui/(src|test|check)|node_modules)/|\.(tsx?|mjs|html)$' <<<"$files") || fail "$archive has $stray"
  bytes=$(stat --format %s "$archive")
  ((bytes < 10 << 20)) || fail "$archive has $bytes bytes; the registry takes 10 MiB"
  ! grep -q '^ *path *= *"\.\.' <(tar --extract --to-stdout --gzip --file "$archive" "$name-$version/Cargo.toml") || fail "$archive depends on a path outside"
  echo "$name $version: $(wc -l <<<"$files") files, $((bytes >> 10)) KiB"
done <<<"$libraries"
