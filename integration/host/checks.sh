#!/bin/bash
# checks.sh - what the tests of a whole host share: checks that are counted, and questions to a group, to the daemon's unit and to
# the machine. A test sources it with its own name and with the name of its group.
set -uo pipefail

suite=$1 main_group=$2
patience=180 # seconds that await waits
marks=$suite-marks # passed and failed; beside this script, which a power cut doesn't reach

# check WHAT WANTED GOT...
check() {
  local what=$1 want=$2; shift 2
  if [ "$*" = "$want" ]; then echo "ok    $what"; echo pass >> "$marks"; return; fi
  echo "FAIL  $what: $*, want $want"; echo fail >> "$marks"
  return 1
}

# await WHAT COMMAND...: wait until the command succeeds. Programs start some 45 times slower here than on a host.
await() {
  local what=$1 end=$((patience + $(up))); shift
  until "$@" > /dev/null 2>&1; do
    if [ "$(up)" -gt "$end" ]; then
      check "$what" "in time" "not in $patience s"
      sallyport status "$main_group"; systemctl status --no-pager 'sallyport*'; return 1
    fi
    sleep 1
  done
  check "$what" yes yes
}
up() { cut -d. -f1 /proc/uptime; } # unlike the clock it never jumps

# finish prints the counts. Its status is 1 if a check failed.
finish() {
  echo "$suite: $(grep -c pass "$marks") passed, $(grep -c fail "$marks") failed"
  ! grep -q fail "$marks"
}

# The test goes on with the next boot.
reboot() { sync; systemctl reboot; sleep 600; }
power_cut() { echo b > /proc/sysrq-trigger; sleep 60; } # loses everything that is not on the disk

# unknown_boot is for a boot that the test doesn't expect.
unknown_boot() { check boots "$1" "$VMHOST_BOOT"; }

answers() { local listed; listed=$(sallyport ps 2> /dev/null) && [[ $listed != *"until the daemon has"* ]]; }
field() { sallyport status "$1" --json | jq -r "$2"; } # of a group
is() { [ "$(field "$1" .state)" = "$2" ]; }
# lives GROUP: the processes of its containers. An init called "once" has ended.
lives() { field "$1" '[.containers[] | select(.name != "once") | "\(.name) \(.pid) \(.restarts)"] | join(", ")'; }
pid_of() { field "${1%.*}" ".containers[] | select(.name == \"${1#*.}\") | .pid"; } # of a container

cgroup_of() { sed -n 's/^0:://p' "/proc/$1/cgroup"; } # of a process
# units_of_shims prints the cgroup of each shim, each once.
units_of_shims() { for pid in $(pgrep -f containerd-shim-runc-v2); do cgroup_of "$pid"; done | sort -u; }

# The daemon's unit.
daemon_pid() { systemctl show -P MainPID sallyport; }
another_daemon() { local now; now=$(daemon_pid); [ "$now" != 0 ] && [ "$now" != "$1" ] && answers; }
warnings() { journalctl --no-pager -b -p warning -u sallyport -u sallyport-containerd -u sallyport-output | tail -8; }
last_lines() { journalctl --no-pager -n 40 -u sallyport -u sallyport-containerd; }

# same_after WHAT BEFORE: the processes are those of before, and the group runs. While containerd starts again, they are not known.
same_after() {
  for _ in {1..60}; do [[ "$(lives "$main_group")" != *null* ]] && is resting stopped && break; sleep 1; done
  check "after $1 the same processes run" "$2" "$(lives "$main_group")"
  check "after $1 the group runs" running "$(field "$main_group" .state)"
  check "after $1 the group that was stopped stays so" stopped "$(field resting .state)"
}

# against UNIT...: what systemd has against the units.
against() { systemd-analyze verify "$@" 2>&1 | grep sallyport; }
