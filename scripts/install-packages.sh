#!/usr/bin/env bash
# Installs packages of Debian, as root. Scripts that run beside one another may call it at once: apt refuses to run twice, so the
# later one waits.
#
#     scripts/install-packages.sh PACKAGE...
set -euo pipefail
((EUID == 0)) && command -v apt-get >/dev/null || { echo "install-packages.sh: needs Debian and root; install $*" >&2; exit 1; }

exec 9>"${TMPDIR:-/tmp}/install-packages.lock"
flock 9
# Whoever runs apt besides keeps its lock for some seconds.
install() { apt-get install -y -qq -o DPkg::Lock::Timeout=300 --no-install-recommends "$@" >/dev/null; }
# The lists of packages may be missing, or too old to tell where these are.
install "$@" 2>/dev/null || { apt-get update -qq && install "$@"; }
