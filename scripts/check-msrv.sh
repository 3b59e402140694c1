#!/usr/bin/env bash
# Neither a dependency nor our own code may need a newer Rust than we promise. This script checks the dependencies, by what
# each package states. Clippy checks what our own code uses of the standard library (incompatible_msrv, denied in Cargo.toml).
#
#     scripts/check-msrv.sh [--build]
#
# With --build it also builds the libraries, and runs their unit tests but for those of `capture`, with an older Rust than the
# promised one: 1.85, which two of Debian's releases have. FEATURES names what Rust has made stable since, up to the promised
# version, and the build switches on those alone. So whatever else is newer than 1.85 fails, and the promised version, which no
# archive of Debian has, knows all that was used. It needs Debian's apt and 2 GB of disk. Where apt has no Rust 1.85, it says so
# and builds nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
fail() { echo "check-msrv.sh: $*" >&2; exit 1; }

OLDER=1.85
FEATURES=(
  let_chains               # 1.88
  slice_as_chunks          # 1.88
  asm_goto                 # 1.87
  const_copy_from_slice    # 1.87
  unsigned_is_multiple_of  # 1.87
)
# What only integration tests and examples use. Some of it states a newer Rust than 1.85 for reasons of its own.
UNUSED='actix-web|async-std|axum|saphyr|smol'

check_statements() {
  cargo metadata --format-version 1 --locked | python3 -c '
import json, sys
number = lambda version: tuple(map(int, (version + ".0").split(".")[:2]))
metadata = json.load(sys.stdin)
ours = next(p["rust_version"] for p in metadata["packages"] if p["name"] == "alloc-profiler")
shipped, queue = set(), [p["id"] for p in metadata["packages"] if p["name"] in ("alloc-profiler", "pprof-server")]
nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
while queue:
    package = queue.pop()
    if package not in shipped:
        shipped.add(package)
        queue += [d["pkg"] for d in nodes[package]["deps"] if any(k["kind"] is None for k in d["dep_kinds"])]
newer = [(p["name"], p["rust_version"]) for p in metadata["packages"]
         if p["id"] in shipped and p["rust_version"] and number(p["rust_version"]) > number(ours)]
for name, version in newer:
    print(f"check-msrv: {name} needs Rust {version}, we promise {ours}", file=sys.stderr)
print(f"Rust {ours} is enough for {len(shipped)} packages by what they state")
sys.exit(bool(newer))
'
}

# Unpacks Debian's older Rust, and prints its folder; prints nothing where apt has none.
older_rust() {
  local folder=$root/.tools/rust-$OLDER package version suffix llvm
  if [[ ! -e $folder/unpacked ]]; then
    read -r package version < <(apt-cache madison rustc rustc-web 2>/dev/null |
      awk -v older="$OLDER." '$3 ~ "^" older && /Packages/ { print $1, $3; exit }') || true
    [[ -n ${version-} ]] || return 0
    suffix=${package#rustc}
    llvm=$(apt-cache show "libstd-rust$suffix-$OLDER=$version" | grep -o -m 1 'libllvm[0-9]*')
    rm -rf "$folder"
    mkdir -p "$folder/packages"
    (cd "$folder/packages" && apt-get download --quiet --quiet -o APT::Sandbox::User=root "$llvm" \
      "rustc$suffix=$version" "libstd-rust$suffix-$OLDER=$version" "libstd-rust$suffix-dev=$version") >&2
    for package in "$folder"/packages/*.deb; do dpkg -x "$package" "$folder"; done
    rm -r "$folder/packages"
    # The compiler finds its libraries in this folder, and what it runs finds those of the machine.
    cat >"$folder/rustc" <<EOF
#!/bin/sh
LD_LIBRARY_PATH="$folder/usr/lib/x86_64-linux-gnu:$folder/usr/lib/llvm-${llvm#libllvm}/lib" exec "$folder/usr/bin/rustc" "\$@"
EOF
    chmod +x "$folder/rustc"
    touch "$folder/unpacked"
  fi
  echo "$folder"
}

# Copies the tree without what unit tests do not need.
copy_tree() {
  rm -rf "$1"
  mkdir -p "$1"
  git ls-files -z Cargo.toml Cargo.lock LICENSE-APACHE LICENSE-MIT README.md alloc-profiler pprof-server tests docs |
    xargs -0 cp --parents -t "$1"
  sed -i 's/, "demo-leak"//' "$1/Cargo.toml"
  sed -i -E "/^($UNUSED) =/d" "$1/pprof-server/Cargo.toml"
  # 1.88 made naked functions stable, and changed how their attribute is written.
  sed -i 's/#\[unsafe(naked)\]/#[naked]/' "$1"/pprof-server/capture/src/by_signals/*.rs
  sed -i '1i #![feature(naked_functions)]\n#![allow(unsafe_op_in_unsafe_fn)]' "$1/pprof-server/capture/src/lib.rs"
  # Unit tests use `Vec::pop_if`, which 1.86 made stable.
  sed -i '1i #![cfg_attr(test, feature(vec_pop_if))]' "$1/pprof-server/src/lib.rs"
  # What only tests use may be older than in our lock file: the tables of Unicode by which a judge of JSON schemas reads
  # addresses, and the digests of the page's security policy.
  (cd "$1" && cargo update --quiet --package idna_adapter --precise 1.0.0 && cargo update --quiet --package sha2 --precise 0.11.0)
}

check_statements
case ${1-} in
  '') exit 0 ;;
  --build) ;;
  *) fail "unknown argument '$1'; use --build or nothing" ;;
esac

older=$(older_rust)
if [[ -z $older ]]; then
  echo "check-msrv: apt has no Rust $OLDER here, so nothing was built with an older Rust; 'apt-get update' may find one"
  exit 0
fi
"$older/rustc" --version
copy=$root/target/msrv/tree
copy_tree "$copy"
cd "$copy"
# Features need RUSTC_BOOTSTRAP on a stable compiler.
RUSTC="$older/rustc" RUSTC_BOOTSTRAP=1 CARGO_INCREMENTAL=0 CARGO_PROFILE_DEV_DEBUG=limited CARGO_TARGET_DIR="$root/target/msrv" \
  RUSTFLAGS="-Zcrate-attr=feature($(IFS=,; echo "${FEATURES[*]}"))" \
  cargo test --ignore-rust-version --offline --lib -p unwinder -p alloc-profiler -p pprof-server
