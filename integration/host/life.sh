#!/bin/bash
# life.sh - tests that need a real host. `make test-host` runs it as root in a throw-away Debian machine. It tests limits on a
# pure cgroup v2, a clock that jumps, a restart of systemd's own containerd, and a power cut. The machine boots twice. Each check
# prints a line, and the last line counts them.
set -uo pipefail

marks=marks # passed and failed; beside this script, which the power cut doesn't reach
cgroup=/sys/fs/cgroup/sallyport/d
volume=/var/lib/sallyport/volumes/d
sallyport() { ./bin/sallyport "$@"; }

# check WHAT WANTED GOT...
check() {
  local what=$1 want=$2; shift 2
  if [ "$*" = "$want" ]; then echo "ok    $what"; echo pass >> $marks; return; fi
  echo "FAIL  $what: $*, want $want"; echo fail >> $marks
  return 1
}

# await WHAT COMMAND...: wait until the command succeeds. Programs start some 45 times slower here than on a host.
await() {
  local what=$1 end=$((SECONDS_UP + $(up))); shift
  until "$@"; do
    if [ "$(up)" -gt "$end" ]; then check "$what" "in time" "not in $SECONDS_UP s"; sallyport status d; return 1; fi
    sleep 1
  done
  check "$what" yes yes
}
SECONDS_UP=180
up() { cut -d. -f1 /proc/uptime; } # unlike the clock it never jumps

daemon() { sallyport daemon >> /var/log/daemon.log 2>&1 & await "the daemon answers" answers; }
answers() { sallyport ps > /dev/null 2>&1; }
field() { sallyport status d --json | jq -r "$1"; }
running() { [ "$(field .state)" = running ]; }
lives() { field '[.containers[] | select(.name != "once") | "\(.name) \(.pid) \(.restarts)"] | join(", ")'; }
value() { tr -s '\n ' ' ' < "$cgroup/$1" | sed 's/ $//'; }

# jump BY: the clock jumps, and it must have no effect.
jump() {
  local before; before=$(lives)
  date -s "$1" > /dev/null
  sleep 12
  check "after a jump of $1 the same processes run" "$before" "$(lives)"
  check "after a jump of $1 the group runs" running "$(field .state)"
}

first_boot() {
  check "this host has cgroup v2 and nothing else" cgroup2fs "$(stat -fc %T /sys/fs/cgroup)"
  daemon
  sallyport apply life.hcl resting.hcl; check "apply" 0 $? || return
  limits
  jump "+1 hour"
  jump "-2 hours"

  sallyport apply --var word=two life.hcl & local apply=$!
  sleep 4; date -s "+3 hours" > /dev/null
  wait $apply; check "an update with a jump of 3 hours in its trial" 0 $?
  check "the generation of that update stays" 2 "$(field .generation)"

  local before; before=$(lives)
  systemctl restart containerd
  sleep 15
  check "after a restart of containerd the same processes run" "$before" "$(lives)"

  local pid place; pid=$(field '.containers[] | select(.name == "a") | .pid'); place=$(stat -c %i $cgroup/members/a)
  kill -9 "$pid"; date -s "-1 hour" > /dev/null
  back() { local now; now=$(field '.containers[] | select(.name == "a") | .pid'); running && [ "$now" != "$pid" ]; }
  await "what was killed comes back, with the clock an hour back" back
  check "its cgroup stays" "$place" "$(stat -c %i $cgroup/members/a)"
  check "what the init wrote" two "$(cat $volume/data/word)"
  sallyport stop resting; check "stop" 0 $?
  echo b > /proc/sysrq-trigger # loses everything that is not on the disk
  sleep 60
}

limits() {
  check "memory of the group" 134217728 "$(value memory.max)"
  check "processor of the group" "50000 100000" "$(value cpu.max)"
  check "processes of the group" 60 "$(value pids.max)"
  check "io weight of the group" "default 200" "$(value io.weight)"
  local app; app=$(cd $cgroup && find . -name memory.max -path '*members*' | xargs grep -lx 33554432 | head -1 | xargs -r dirname)
  check "memory of the app" 33554432 "$(value "$app/memory.max")"
  check "swap of the app" 0 "$(value "$app/memory.swap.max")"
  check "the runtime's cgroup is below one that stays" leaf "$(basename "$app")"
  check "io weight of the app" "default 300" "$(value "$app/../io.weight")"
}

after_the_cut() {
  daemon
  await "the group comes back from the disk" running
  check "its generation" 2 "$(field .generation)"
  limits
  check "what was stopped stays so" stopped "$(sallyport status resting --json | jq -r .state)"
  sallyport rm --volumes d resting; check "rm --volumes" 0 $?
  check "nothing is left of the groups" "" "$(ls -d $cgroup $volume 2>/dev/null; ip -o link | grep -o 'sp-[^@:]*'; ctr -n sallyport containers ls -q)"
}

case $VMHOST_BOOT in
1) first_boot ;;
2) after_the_cut ;;
*) check "boots" 2 "$VMHOST_BOOT" ;;
esac
grep -E 'level=(WARN|ERROR)' /var/log/daemon.log | tail -8
echo "host: $(grep -c pass $marks) passed, $(grep -c fail $marks) failed"
! grep -q fail $marks
