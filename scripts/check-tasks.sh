#!/usr/bin/env bash
# Asks builds of the corpus of tasks (tests/tasks-corpus) where their tasks wait, and compares with what the source marks. It prints
# for each build how many are right, marked unknown and wrong, and fails if any is wrong. A build with the types of its tasks must
# also have some right.
#   scripts/check-tasks.sh [BUILD...]
# With names of builds it does so for those. Without, it does so for all: what services are released with, LTO of both kinds, one
# codegen unit, less debug information or none, debug information in files of its own, and the old mangling. The corpus alone is built
# anew where that is enough.
set -euo pipefail
cd "$(dirname "$0")/.."

wanted=("$@")
own=package.tasks-corpus
target=${CARGO_TARGET_DIR:-target}
builds=$target/tasks-corpus
mkdir -p "$builds"

# As in test.sh, what is built in debug is mangled as the toolchain does by itself, and what is built in release by `v0`.
mangling=v0

# Whether the build of this name is asked for.
wants() { [[ ${#wanted[@]} -eq 0 || " ${wanted[*]} " == *" $1 "* ]]; }

# Builds the corpus by a profile into $builds/NAME. Further arguments are settings of the profile, such as debug="limited".
build() {
  local name=$1 profile=$2 settings=() folder=$2
  for setting in "${@:3}"; do settings+=(--config "profile.$profile.$setting"); done
  local flags=${RUSTFLAGS-}
  case $profile in
    dev) folder=debug ;;
    *)
      flags+=" -C symbol-mangling-version=$mangling"
      settings+=(--config "profile.$profile.$own.opt-level=3")
      # As many units as a user's program has, unless the build asks for one.
      [[ ${*:3} == *codegen-units* ]] || settings+=(--config "profile.$profile.$own.codegen-units=16")
      ;;
  esac
  RUSTFLAGS=$flags cargo build --quiet -p tasks-corpus --bin tasks-corpus --profile "$profile" --target-dir "$target" "${settings[@]}"
  rm -rf "${builds:?}/$name"
  mkdir "$builds/$name"
  cp "$target/$folder/tasks-corpus" "$builds/$name/"
  [[ ! -e $target/$folder/tasks-corpus.dwp ]] || mv "$target/$folder/tasks-corpus.dwp" "$builds/$name/"
}

with_types=() without_types=()

has_types() { ! wants "$1" || { build "$@"; with_types+=("$builds/$1/tasks-corpus"); }; }
has_no_types() { ! wants "$1" || { build "$@"; without_types+=("$builds/$1/tasks-corpus"); }; }

has_types debug dev
has_types release release
has_types release-one-unit release "$own.codegen-units=1"
for profile in thin fat; do
  has_types "$profile" "$profile"
  has_types "$profile-one-unit" "$profile" "$own.codegen-units=1"
done
for debug in limited line-tables-only none; do
  has_no_types "release-$debug" release "$own.debug=\"$debug\""
done
has_no_types fat-limited fat "$own.debug=\"limited\""

# Debug information in a file apart, which the program names.
if wants release-apart; then
  [[ -e $builds/release/tasks-corpus ]] || build release release
  folder=$builds/release-apart
  rm -rf "$folder"
  mkdir "$folder"
  objcopy --only-keep-debug "$builds/release/tasks-corpus" "$folder/tasks-corpus.debug"
  objcopy --strip-all --add-gnu-debuglink="$folder/tasks-corpus.debug" "$builds/release/tasks-corpus" "$folder/tasks-corpus"
  with_types+=("$folder/tasks-corpus")
fi
for kind in debug all; do
  name=release-stripped-of-$kind
  wants "$name" || continue
  [[ -e $builds/release/tasks-corpus ]] || build release release
  mkdir -p "$builds/$name"
  objcopy "--strip-$kind" "$builds/release/tasks-corpus" "$builds/$name/tasks-corpus"
  without_types+=("$builds/$name/tasks-corpus")
done

# From 1.97 on, only nightly has the old mangling.
if rustc -C symbol-mangling-version=legacy --print sysroot >/dev/null 2>&1; then
  mangling=legacy
  for profile in release thin fat; do
    has_types "$profile-legacy" "$profile"
  done
fi
[[ -n ${with_types[*]-}${without_types[*]-} ]] || { echo "check-tasks.sh: there is no build '$*'" >&2; exit 1; }
status=0
[[ -z ${with_types[*]-} ]] || python3 tests/tasks-corpus/check.py "${with_types[@]}" || status=$?
[[ -z ${without_types[*]-} ]] || python3 tests/tasks-corpus/check.py --without-types "${without_types[@]}" || status=$?
exit "$status"
