#!/usr/bin/env bash
# Checks the page at /debug/pprof/. It builds the page anew from its sources, its lock file and the schema of the answers,
# compares the result with what is checked in, tests its parts, and drives it in headless Chromium over the running demo. `--screenshots` also writes the
# screenshots of the documents. It needs Node 20 and npm. It fetches Chromium by apt where that is missing, and Go's pprof as
# test.sh does.
set -euo pipefail
cd "$(dirname "$0")/.."
fail() { echo "check-ui.sh: $*" >&2; exit 1; }

case ${1:-} in
  '') screenshots= ;;
  --screenshots) screenshots=$PWD/docs/images; mkdir -p "$screenshots" ;;
  *) fail "unknown argument: only --screenshots is known" ;;
esac

command -v npm >/dev/null || fail "no npm on the PATH: install Node 20 or newer"
export CHROMIUM="${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)}"
if [[ -z $CHROMIUM ]]; then
  scripts/install-packages.sh chromium || fail "no Chromium: install it, or name it in CHROMIUM"
  CHROMIUM=$(command -v chromium)
fi
PATH="$(scripts/install-go.sh):$PATH"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PPROF_TMPDIR="$work/fetched"

cp -r pprof-server/ui/{dist,src/answers.ts} "$work"
(
  cd pprof-server/ui
  npm ci --silent
  npm run --silent build
  npm run --silent check
  npm test --silent
)
for made in dist src/answers.ts; do
  diff -r "$work/${made##*/}" "pprof-server/ui/$made" >&2 ||
    fail "pprof-server/ui/$made was not what its sources make; it is now: look at it and commit it"
done

demo_leak=$(scripts/build-demo.sh)
node pprof-server/ui/check/main.mjs "$demo_leak" $screenshots

# Dozens of kilobytes each: they are in every clone.
for image in docs/images/*.png; do
  [[ ! -e $image ]] || (($(stat -c %s "$image") <= 150 * 1024)) || fail "$image is larger than 150 KiB"
done
