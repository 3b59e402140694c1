#!/usr/bin/env bash
# Has the kernel kill a program that leaks in a control group of 100 MiB, at several rates, and reads the profile that it left
# behind with go tool pprof, which must name the leak. It prints for each rate in how many runs that was so. Arguments: the
# number of runs (20), then the rates in MiB a second (1 5 20 50 100 200; 0 is as fast as the program can).
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
  parent=/sys/fs/cgroup/memory limit_file=memory.limit_in_bytes swap_file=memory.memsw.limit_in_bytes
elif [[ -w /sys/fs/cgroup/cgroup.subtree_control ]]; then
  parent=/sys/fs/cgroup limit_file=memory.max swap_file=memory.swap.max
  echo +memory >$parent/cgroup.subtree_control 2>/dev/null || cannot "the memory controller cannot be turned on"
else
  cannot "no memory controller that this user may change"
fi
group=$parent/pprof-check-kill.$$
mkdir "$group" 2>/dev/null || cannot "no control group can be made in $parent"
work=$(mktemp -d)
trap 'rmdir "$group"; rm -rf "$work"' EXIT
echo $limit >"$group/$limit_file" || cannot "the group takes no limit"
swap=$limit
[[ $swap_file == memory.memsw* ]] || swap=0
{ echo $swap >"$group/$swap_file"; } 2>/dev/null || true

PATH="$(scripts/install-go.sh):$PATH"
nice cargo build --quiet -p pprof-server --example grow
program=${CARGO_TARGET_DIR:-target}/debug/examples/grow

missed=0
for rate in "${rates[@]}"; do
  killed=0 left=0 named=0 by_address=0
  for ((run = 0; run < runs; run++)); do
    dumps=$work/$rate-$run
    mkdir "$dumps"
    status=0
    # The outer braces take the shell's message about the killed program.
    {
      (
        echo "$BASHPID" >"$group/cgroup.procs"
        PPROF_DUMP=$dumps PPROF_QUIET=1 exec "$program" "$rate" 300 exit
      ) >/dev/null 2>&1 || status=$?
    } 2>/dev/null
    ((status == 137)) && killed=$((killed + 1))
    latest=$(find "$dumps" -name '*.heap.pb.gz' | sort | tail -n 1)
    [[ -n $latest ]] || continue
    left=$((left + 1))
    # A profile with names needs no program, and one without is named by the program's file.
    if go tool pprof -top -nodecount=100 "$latest" 2>/dev/null | grep -q 'grow::leak_here'; then
      named=$((named + 1))
    elif go tool pprof -top -nodecount=100 "$program" "$latest" 2>/dev/null | grep -q 'leak_here'; then
      by_address=$((by_address + 1))
    fi
  done
  echo "$rate MiB/s: killed $killed of $runs; left a profile $left; it names the leak $named," \
    "and with the program's file $by_address more"
  ((named + by_address == runs && killed == runs)) || missed=1
done
exit $missed
