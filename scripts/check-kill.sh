#!/usr/bin/env bash
# Has the kernel kill a program that leaks in a control group of 100 MiB, at several rates, and reads the profile that it left
# behind with go tool pprof, which must name the leak. It prints for each rate in how many runs that was so. In every other run
# the limit is that of a group around the program's own. Arguments: the number of runs (20), then the rates in MiB a second
# (1 5 20 50 100 200; 0 is as fast as the program can). JOBS is the number of programs that run at the same time (1).
#
# It needs root and the memory controller of control groups, version 1 or 2. Where a machine does not allow that, it says so and
# ends well.
set -euo pipefail
cd "$(dirname "$0")/.."
runs=${1:-20}
shift || true
rates=("$@")
((${#rates[@]})) || rates=(1 5 20 50 100 200)
limit=$((100 << 20))

cannot() { echo "check-kill.sh: nothing was checked: $*"; exit 0; }
if [[ -w /sys/fs/cgroup/memory/memory.usage_in_bytes || -w /sys/fs/cgroup/memory/cgroup.procs ]]; then
  parent=/sys/fs/cgroup/memory limit_file=memory.limit_in_bytes swap_file=memory.memsw.limit_in_bytes swap=$limit version=1
elif [[ -w /sys/fs/cgroup/cgroup.subtree_control ]]; then
  parent=/sys/fs/cgroup limit_file=memory.max swap_file=memory.swap.max swap=0 version=2
  echo +memory >$parent/cgroup.subtree_control 2>/dev/null || cannot "the memory controller cannot be turned on"
else
  cannot "no memory controller that this user may change"
fi
work=$(mktemp -d)
prefix=$parent/pprof-check-kill.$$
{ mkdir "$prefix.first" && echo $limit >"$prefix.first/$limit_file"; } 2>/dev/null ||
  cannot "no control group with a limit can be made in $parent"
trap 'rmdir "$prefix".*/within "$prefix".* 2>/dev/null || true; rm -rf "$work"' EXIT

PATH="$(scripts/install-go.sh):$PATH"
nice cargo build --quiet -p pprof-server --example grow
program=${CARGO_TARGET_DIR:-target}/debug/examples/grow

# One run at a rate. Its line tells whether it was killed, whether it left a profile, and how that names the leak.
run() {
  local rate=$1 number=$2 dumps=$work/$1-$2 group=$prefix.$1-$2 own status=0
  mkdir "$dumps" "$group" || return
  own=$group
  echo $limit >"$group/$limit_file"
  { echo $swap >"$group/$swap_file"; } 2>/dev/null || true
  if ((number % 2)); then
    own=$group/within
    ((version == 1)) || echo +memory >"$group/cgroup.subtree_control"
    mkdir "$own"
  fi
  # The outer braces take the shell's message about the killed program.
  {
    (
      echo "$BASHPID" >"$own/cgroup.procs"
      PPROF_DUMP=$dumps PPROF_QUIET=1 exec "$program" "$rate" 300 exit
    ) >/dev/null 2>&1 || status=$?
  } 2>/dev/null
  ((status != 137)) || echo killed
  rmdir "$group"/within "$group" 2>/dev/null || true
  local latest
  latest=$(find "$dumps" -name '*.heap.pb.gz' | sort | tail -n 1)
  [[ -n $latest ]] || return 0
  echo left
  # A profile with names needs no program, and one without is named by the program's file.
  if go tool pprof -top -nodecount=100 "$latest" 2>/dev/null | grep 'grow::leak_here' >/dev/null; then
    echo named
  elif go tool pprof -top -nodecount=100 "$program" "$latest" 2>/dev/null | grep 'leak_here' >/dev/null; then
    echo by_address
  fi
}

missed=0
for rate in "${rates[@]}"; do
  : >"$work/lines"
  for ((number = 0; number < runs; number++)); do
    run "$rate" "$number" >>"$work/lines" &
    while (($(jobs -pr | wc -l) >= ${JOBS:-1})); do wait -n || true; done
  done
  wait
  count() { grep -c "^$1\$" "$work/lines" || true; }
  killed=$(count killed) named=$(count named) by_address=$(count by_address)
  echo "$rate MiB/s: killed $killed of $runs; left a profile $(count left); it names the leak $named," \
    "and with the program's file $by_address more"
  ((named + by_address == runs && killed == runs)) || missed=1
done
exit $missed
