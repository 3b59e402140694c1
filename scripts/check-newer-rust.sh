#!/usr/bin/env bash
# Tests with a newer Rust than the machine's: the one that Debian's unstable release has, unpacked into .tools/unstable, which is
# kept. Arguments are those of `cargo test`; without any, the libraries and the demo are tested in debug.
# Needs root, Debian's apt and 4 GB of disk; takes packages from where apt does, and crates from cargo's own folder.
set -euo pipefail
cd "$(dirname "$0")/.."
fail() { echo "check-newer-rust.sh: $*" >&2; exit 1; }

((EUID == 0)) || fail "run it as root: it unpacks a system and changes its root to that"
command -v apt-get >/dev/null || fail "needs Debian's apt"
command -v debootstrap >/dev/null || apt-get install --yes --quiet --no-install-recommends debootstrap >/dev/null
PATH="$(scripts/install-go.sh):$PATH"
root=$PWD/.tools/unstable go=$(go env GOROOT)
cargo_home=${CARGO_HOME:-$HOME/.cargo}

if [[ ! -e $root/unpacked ]]; then
  rm -rf "$root"
  mirror=$(apt-get indextargets --format '$(SITE)' | grep -m 1 '/debian/*$') || fail "apt knows no mirror of Debian"
  debootstrap --variant=minbase --include=ca-certificates,rustc,cargo,gcc,libc6-dev,binutils,make unstable "$root" "$mirror"
  touch "$root/unpacked"
fi
# All crates are there, so that nothing is asked of a registry within.
cargo fetch --locked --quiet

# A test asks for the address of localhost.
[[ -s $root/etc/hosts ]] || printf '127.0.0.1 localhost\n::1 localhost\n' >"$root/etc/hosts"
mkdir -p "$root/src" "$root/target" "$root/go" "$root/home/.cargo/registry"
(($#)) || set -- -p alloc-profiler -p pprof-server -p demo-leak
# In a name space of its own, what is mounted goes when it ends.
unshare --mount --propagation private bash -euc '
  root=$1 go=$2 registry=$3; shift 3
  mount --bind . "$root/src"
  mount --bind "$go" "$root/go"
  mount --bind "$registry" "$root/home/.cargo/registry"
  mount --rbind /proc "$root/proc"
  mount --rbind /dev "$root/dev"
  exec chroot "$root" /usr/bin/env -i HOME=/home PATH=/go/bin:/usr/bin:/usr/sbin CARGO_TARGET_DIR=/target \
    CARGO_NET_OFFLINE=true CARGO_INCREMENTAL=0 sh -euc "cd /src; rustc --version; exec cargo test --locked \"\$@\"" sh "$@"
' bash "$root" "$go" "$cargo_home/registry" "$@"
