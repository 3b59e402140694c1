#!/usr/bin/env bash
# Builds and runs the product on other platforms, on this machine: static x86-64 musl natively, aarch64 with glibc and with musl by
# qemu-user, x86-64 musl with a loader natively, and x86-64 Windows by Wine. It runs the units of the libraries, the promises of
# `tests/`, the hazards that make sense there, and the demo's hunt for its leak. `checks` has the compiler check the types for systems that cannot be run here.
# `fast-path` prints the instructions of an allocation that is not sampled on aarch64. Debian 12 on x86-64.
#
#   scripts/platforms.sh [musl | aarch64 | aarch64-musl | dynamic-musl | windows | checks | fast-path | setup]...     by default all
#   PLATFORM_STEPS="units promises hazards hunt"     which of these are run
#   CHECKED_SYSTEMS="aarch64-apple-darwin ..."        whose types are checked
#
# The first run downloads 320 MB of Debian's packages and unpacks them into .tools/platforms, 1.7 GB; nothing of the
# system changes. For `windows` there are 50 MB more, and Wine is installed in the system, since it did not run from another place.
# Debian's security suite has a newer rustc with the sources of its standard library, and the standard library of arm64; Cargo is
# the machine's own. What qemu cannot say: how long anything takes, and what a weaker memory order does. (`check-model.sh` tries
# every order of steps.)
set -euo pipefail
cd "$(dirname "$0")/.."

place="$PWD/.tools/platforms"
root="$place/root" arm="$place/arm"
steps=${PLATFORM_STEPS:-units promises hazards hunt}
export CARGO_INCREMENTAL=0 RUSTC_BOOTSTRAP=1

apt() {
  apt-get -qq -o "Dir::State::lists=$place/lists" -o "Dir::Cache=$place/cache" -o APT::Architectures::=amd64 \
    -o APT::Architectures::=arm64 -o APT::Sandbox::User=root "$@"
}

# The package whose name begins so, which has a version in it.
named() { apt-cache -o "Dir::State::lists=$place/lists" -o "Dir::Cache=$place/cache" pkgnames "$1" | grep -xE "$1[0-9.]*" | sort -V | tail -1; }

download() {
  local unwinder
  mkdir -p "$place"/{lists,cache/archives,packages}/partial
  apt update
  unwinder="$(named libunwind-)-dev"
  # Each is what the next line needs: rustc, tools for arm64, an emulator, and what musl programs are linked with.
  (cd "$place/packages" && apt download rustc-web rust-web-llvm "$(named libstd-rust-web-)" libstd-rust-web-dev rust-web-src \
    "$(named libllvm)" libstd-rust-web-dev:arm64 libc6:arm64 libgcc-s1:arm64 \
    gcc-12-aarch64-linux-gnu cpp-12-aarch64-linux-gnu binutils-aarch64-linux-gnu libgcc-12-dev-arm64-cross \
    libgcc-s1-arm64-cross libc6-arm64-cross libc6-dev-arm64-cross linux-libc-dev-arm64-cross qemu-user-static \
    musl musl-dev musl-tools "$unwinder" musl-dev:arm64 "$unwinder:arm64")
}

unpack() {
  local package
  rm -rf "$root" "$arm"
  mkdir -p "$root" "$arm"
  for package in "$place"/packages/*.deb; do
    case "$package" in
      */libc6_*_arm64.deb | */libgcc-s1_*_arm64.deb | */musl-dev_*_arm64.deb | */libunwind-*_arm64.deb) dpkg -x "$package" "$arm" ;;
      *) dpkg -x "$package" "$root" ;;
    esac
  done
}

# What rustup's musl targets bring by themselves: what begins and ends a program, the C library, and an unwinder for panics.
musl_objects() { # processor, prefix, compiler, where the compiler has its own objects
  local to="$root/usr/lib/rustlib/$1-unknown-linux-musl/lib/self-contained" from="$2/usr/lib/$1-linux-musl" name
  mkdir -p "$to"
  cp "$from"/{crt1.o,rcrt1.o,Scrt1.o,crti.o,crtn.o,libc.a} "$to"
  cp "$4"/{crtbegin.o,crtbeginS.o,crtend.o,crtendS.o} "$to"
  cp "$(find "$2/usr/lib" -name libunwind.a | head -1)" "$to"
  # Debian builds libunwind with checks of glibc's, which musl does not have.
  $3 -O1 -c -x c -o "$place/checked.o" - <<<'
    #include <stdarg.h>
    #include <stdio.h>
    int __fprintf_chk(FILE *file, int flag, const char *format, ...) {
      va_list arguments; va_start(arguments, format);
      int written = vfprintf(file, format, arguments); va_end(arguments); return written; }'
  ar r "$to/libunwind.a" "$place/checked.o" 2>/dev/null
}

# Programs with a loader: GCC is told where musl is, and the unwinder stands for GCC's, which needs glibc.
dynamic_musl() {
  local specs="$root/usr/lib/x86_64-linux-musl"
  mkdir -p "$place/dynamic"
  cp "$root/usr/lib/rustlib/x86_64-unknown-linux-musl/lib/self-contained/libunwind.a" "$place/dynamic/libgcc_s.a"
  sed "s|/usr/|$root/usr/|g; s|/lib/ld-musl|$root/lib/ld-musl|g" "$specs/musl-gcc.specs" >"$place/musl-gcc.specs"
  # Links that begin at the system's root.
  ln -sf "$root/lib/x86_64-linux-musl/libc.so" "$root/lib/ld-musl-x86_64.so.1"
  ln -sf "$root/lib/x86_64-linux-musl/libc.so" "$specs/libc.so"
  wrapper musl-linker "exec gcc -specs $place/musl-gcc.specs -L$place/dynamic \"\$@\""
}

wrapper() { printf '#!/bin/sh\n%s\n' "$2" >"$place/$1"; chmod +x "$place/$1"; }

setup() {
  [[ ! -e $place/is-set-up ]] || return 0
  [[ $(uname -sm) == "Linux x86_64" ]] && command -v apt-get >/dev/null || { echo "platforms: this needs Debian on x86-64" >&2; exit 2; }
  download
  unpack
  wrapper rustc "LD_LIBRARY_PATH=$root/usr/lib/x86_64-linux-gnu exec $root/usr/bin/rustc \"\$@\""
  wrapper arm-linker "PATH=$root/usr/bin:\$PATH LD_LIBRARY_PATH=$root/usr/lib/x86_64-linux-gnu exec $root/usr/bin/aarch64-linux-gnu-gcc-12 --sysroot=$root \"\$@\""
  musl_objects x86_64 "$root" gcc "$(dirname "$(gcc -print-file-name=crtbegin.o)")"
  musl_objects aarch64 "$arm" "$place/arm-linker" "$root/usr/lib/gcc-cross/aarch64-linux-gnu/12"
  dynamic_musl
  rm -rf "$place/packages" "$place/cache"
  touch "$place/is-set-up"
}

# Tools that link programs for Windows, and what Rust's standard library asks of Windows that Wine 8 does not have.
setup_windows() {
  [[ ! -e $place/windows-is-set-up ]] || return 0
  local package name
  scripts/install-packages.sh wine64
  mkdir -p "$place/packages/partial" "$place/windows"
  (cd "$place/packages" && apt download gcc-mingw-w64-x86-64-posix gcc-mingw-w64-x86-64-posix-runtime binutils-mingw-w64-x86-64 \
    mingw-w64-x86-64-dev)
  for package in "$place"/packages/*.deb; do dpkg -x "$package" "$root"; done
  rm -rf "$place/packages"
  for name in as dlltool; do
    wrapper "windows/x86_64-w64-mingw32-$name" "LD_LIBRARY_PATH=$root/usr/lib/x86_64-linux-gnu exec $root/usr/bin/x86_64-w64-mingw32-$name \"\$@\""
  done
  wrapper windows-linker "PATH=$root/usr/bin:\$PATH LD_LIBRARY_PATH=$root/usr/lib/x86_64-linux-gnu exec $root/usr/bin/x86_64-w64-mingw32-gcc-posix \"\$@\""
  "$place/windows-linker" -shared -x c -o "$place/windows/bcryptprimitives.dll" - -ladvapi32 <<<'
    #include <windows.h>
    BOOLEAN NTAPI SystemFunction036(PVOID, ULONG);
    __declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE bytes, SIZE_T count) { return SystemFunction036(bytes, count); }'
  cp "$root"/usr/lib/gcc/x86_64-w64-mingw32/12-posix/libgcc_s_seh-1.dll "$root"/usr/x86_64-w64-mingw32/lib/libwinpthread-1.dll "$place/windows"
  touch "$place/windows-is-set-up"
}

step() { printf '\n== %s\n' "$*"; "$@"; printf '== %s s since the start\n' "$SECONDS"; }

# The libraries' own tests, in release since qemu is slow. Arguments go to the tests.
units() { step cargo test "${target[@]}" --release --no-fail-fast -p alloc-profiler -p unwinder --lib -- "$@"; }

# The promises of `tests/` that need neither Go nor libraries of the machine's own kind.
promises() {
  local test tests=()
  for test in every_allocation_is_exact a_new_interval_reaches_running_threads ages_are_those_of_the_blocks \
    limits_hold_and_totals_stay_right snapshots_hold_together_under_load estimates_match_the_truth; do
    tests+=(--test "$test")
  done
  step cargo test "${target[@]}" --release --no-fail-fast -p workspace-tests "${tests[@]}" -- "$@"
  # Stacks are the same as the oracles find, also in handlers of signals.
  step cargo test "${target[@]}" --release --no-fail-fast -p unwinder "${oracles[@]}"
}

# What holds memory is found by what the allocator writes, which is another's here.
holders() { step cargo test "${target[@]}" --release --no-fail-fast -p holders -- "$@"; }

hazards() { step cargo test "${target[@]}" --release -p workspace-tests --test hazards -- "$@"; }

# The demo finds its own leak, and names its line.
hunt() {
  step cargo build "${target[@]}" --release -p demo-leak
  local said
  said=$($TEST_RUNNER "$program" hunt) || { echo "$said"; echo "platforms: hunt failed" >&2; exit 1; }
  echo "$said"
  grep -q 'reader\.rs:60' <<<"$said" || { echo "platforms: hunt has not named reader.rs:60" >&2; exit 1; }
}

wants() { [[ " $steps " == *" $1 "* ]]; }

musl() {
  export RUSTC="$place/rustc" TEST_RUNNER=""
  target=(-Zbuild-std --target x86_64-unknown-linux-musl --target-dir "$place/target")
  program="$place/target/x86_64-unknown-linux-musl/release/demo-leak"
  oracles=(--test from_a_signal_handler)
  ! wants units || units
  ! wants units || holders
  ! wants promises || promises
  ! wants hazards || hazards
  ! wants hunt || hunt
}

# Signals 63 and 64 have no counterpart on the host by qemu, so nobody can block them there, and a unit that expects that is left out.
by_qemu=(--skip all_but_those_of_faults)
# qemu ignores limits of address space.
hazards_by_qemu=(--skip memory_may_run_out)

aarch64() {
  export RUSTC="$place/rustc" TEST_RUNNER="$root/usr/bin/qemu-aarch64-static -L $arm" TEST_CC="$place/arm-linker"
  export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="$TEST_RUNNER"
  export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER="$place/arm-linker"
  target=(--target aarch64-unknown-linux-gnu --target-dir "$place/target-arm")
  program="$place/target-arm/aarch64-unknown-linux-gnu/release/demo-leak"
  oracles=(--test from_a_signal_handler --test unwinders_agree)
  ! wants units || units "${by_qemu[@]}"
  ! wants promises || promises
  ! wants hazards || hazards "${hazards_by_qemu[@]}"
  ! wants hunt || hunt
}

aarch64-musl() {
  export RUSTC="$place/rustc" TEST_RUNNER="$root/usr/bin/qemu-aarch64-static"
  export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_RUNNER="$TEST_RUNNER"
  export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_LINKER="$place/arm-linker"
  target=(-Zbuild-std --target aarch64-unknown-linux-musl --target-dir "$place/target-arm-musl")
  program="$place/target-arm-musl/aarch64-unknown-linux-musl/release/demo-leak"
  oracles=(--test from_a_signal_handler)
  ! wants units || units "${by_qemu[@]}"
  ! wants promises || promises
  ! wants hunt || hunt
}

# A program that musl's loader has loaded. It is enough to see that stacks go through more images than one.
dynamic-musl() {
  export RUSTC="$place/rustc" TEST_RUNNER="" RUSTFLAGS="-C target-feature=-crt-static"
  export CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_LINKER="$place/musl-linker"
  target=(-Zbuild-std --target x86_64-unknown-linux-musl --target-dir "$place/target-dynamic")
  program="$place/target-dynamic/x86_64-unknown-linux-musl/release/demo-leak"
  ! wants units || units
  ! wants hunt || hunt
}

# What Windows has of its own: stacks, where they end, and what its loader tells of images. Wine is not Windows, so this shows that the
# parts fit, and no more.
windows() {
  setup_windows
  export RUSTC="$place/rustc" TEST_RUNNER=/usr/lib/wine/wine64 PATH="$place/windows:$PATH"
  export WINEPREFIX="$place/wine" WINEDEBUG=-all WINEPATH="Z:$place/windows"
  export CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER="$TEST_RUNNER"
  export CARGO_TARGET_X86_64_PC_WINDOWS_GNU_LINKER="$place/windows-linker"
  target=(-Zbuild-std --target x86_64-pc-windows-gnu --target-dir "$place/target-windows")
  program="$place/target-windows/x86_64-pc-windows-gnu/release/demo-leak.exe"
  ! wants units || units
  ! wants promises || promises
  ! wants hunt || hunt
}

# No warning is let through.
checks() {
  export RUSTC="$place/rustc"
  local system
  for system in ${CHECKED_SYSTEMS:-aarch64-apple-darwin x86_64-pc-windows-msvc x86_64-unknown-freebsd aarch64-linux-android}; do
    RUSTFLAGS=-Dwarnings step cargo check -Zbuild-std -p pprof-server -p demo-leak --target "$system" --target-dir "$place/target-checks"
  done
}

fast-path() {
  export RUSTC="$place/rustc" CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER="$place/arm-linker"
  step cargo build --target aarch64-unknown-linux-gnu --target-dir "$place/target-arm" --release -p demo-leak
  LD_LIBRARY_PATH="$root/usr/lib/x86_64-linux-gnu" "$root/usr/bin/aarch64-linux-gnu-objdump" -d --no-show-raw-insn \
    "$place/target-arm/aarch64-unknown-linux-gnu/release/demo-leak" |
    awk '/^[0-9a-f]+ <.*__rustc.*__rust_alloc>:/ || /^[0-9a-f]+ <__rust_alloc>:/ { shown = 1 } shown { print } shown && /\tret/ { exit }'
}

setup
for name in ${*:-musl aarch64 aarch64-musl dynamic-musl windows checks fast-path}; do
  case "$name" in
    musl | aarch64 | aarch64-musl | dynamic-musl | windows | checks | fast-path) ("$name") ;;
    setup) ;;
    *) echo "platforms: there is no platform $name: musl, aarch64, aarch64-musl, dynamic-musl, windows, checks, fast-path" >&2; exit 2 ;;
  esac
done
