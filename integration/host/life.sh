#!/bin/bash
# life.sh - tests that need a real host. `make test-host` runs it as root in a throw-away Debian machine. It tests limits on a
# pure cgroup v2, abstract unix sockets, project quotas, bounds on disk, a clock that jumps, a restart of systemd's own containerd, and a power cut. The
# machine boots twice. Each check prints a line, and the last line counts them.
. ./checks.sh life d

cgroup=/sys/fs/cgroup/sallyport/d
volume=/var/lib/sallyport/volumes/d
sallyport() { ./bin/sallyport "$@"; }
daemon() { ./bin/sallyport daemon >> /var/log/daemon.log 2>&1 & daemon=$!; await "the daemon answers" answers; }
value() { tr -s '\n ' ' ' < "$cgroup/$1" | sed 's/ $//'; }

# apart: Debian's kernel can separate abstract unix sockets. Not every kernel on which the other tests run can.
apart() {
  check "doctor on abstract sockets" "true null" "$(sallyport doctor --json | jq -r '.[] | select(.name == "abstract sockets") | "\(.ok) \(.note)"')"
  local tests
  for tests in egress.test:TestRootSeparate:3 network.test:TestRootAbstract:1; do
    "./${tests%%:*}" -test.v -test.run "$(cut -d: -f2 <<< "$tests")" > tests.log 2>&1
    check "tests of ${tests%%:*} that passed" "${tests##*:}" "$(grep -c '^--- PASS' tests.log)" || cat tests.log
  done

  sallyport apply apart.hcl; check "apply of a group with abstract sockets" 0 $? || return
  offered() { [ "$(for c in app side amb; do sallyport logs apart.$c; done | grep -c offering)" = 3 ]; }
  await "all containers wait for callers" offered
  # call FROM NAME: what the caller is told of each kind; the names of a container follow each other.
  call() {
    local name=$2 kind
    for kind in ${3:-stream seqpacket dgram}; do
      "$1" "abstract-$kind" 192.0.2.1 "$name" | jq -r '.error // "reached"'
      name=$((name + 1))
    done | paste -sd,
  }
  by() { sallyport exec "apart.$1" -- /attack try "${@:2}"; }
  app() { by app "$@"; }
  amb() { by amb "$@"; }
  local one="operation not permitted"; local refused=$one,$one,$one
  check "a member calls a member" reached,reached,reached "$(call app 200)"
  check "a member calls the ambassador" "$refused" "$(call app 300)"
  check "the ambassador calls a member" "$refused" "$(call amb 100)"
  kill -9 "$daemon"; wait "$daemon" 2> /dev/null
  direct() { ctr -n sallyport tasks exec --exec-id "t$RANDOM" "$(ctr -n sallyport containers ls -q | grep 'apart.*app')" /attack try "$@"; }
  check "without a daemon a member calls the ambassador" "$one" "$(call direct 300 stream)"
  check "without a daemon a member calls a member" reached "$(call direct 200 stream)"
  daemon
  sallyport rm apart; check "rm of the group with abstract sockets" 0 $?
}

# kernel: how the daemon hears of changes, and how it looks at all groups at once. Debian's kernel is older than those on which the
# other tests run. There is a fallback for each, so what is skipped has failed.
kernel() {
  passes watch TestRoot
  passes egress TestRootSurvey
  passes network 'TestRoot(Drift|Settled|Lost|Heard|GroupThatIsNotHeard)'
}
# no_fallback: the daemon's log names each fallback that it takes. The kernel names what the daemon looks with.
no_fallback() {
  looks() { grep -qsP '^target_name:\tcgroup$' /proc/$daemon/fdinfo/*; }
  await "the daemon looks at all groups at once" looks
  check "the daemon took no fallback" "" "$(grep -E 'each second|one by one' /var/log/daemon.log | grep -v 'the kernel does not report')"
}

# passes PACKAGE PATTERN: all tests that are so called pass.
passes() {
  CI=true "./$1.test" -test.v -test.run "^$2" > "$1.log" 2>&1
  check "tests of $1.test end well" 0 $? && ! grep -qE '^ *--- (FAIL|SKIP)' "$1.log" || cat "$1.log"
  check "tests of $1.test that passed" "$("./$1.test" -test.list "^$2" | grep -c '^Test')" "$(grep -c '^--- PASS' "$1.log")"
}

# quotas: Debian's kernel bounds folders by projects, on ext4 and on xfs. The kernels on which the other tests run may not.
quotas() {
  local tests name kind
  for tests in quota:TestRoot volumes:TestRootPersistentSize$ disks:TestRootHardBounds inside:TestRootUnpackIsBounded; do
    passes "${tests%%:*}" "${tests##*:}"
    for name in $("./${tests%%:*}.test" -test.list "^${tests##*:}" | grep '^Test'); do for kind in ext4 xfs; do
      check "$name on $kind" PASS "$(sed -nE "s,^ *--- ([A-Z]+): $name/$kind .*,\1,p" "${tests%%:*}.log")"
    done; done
  done
}

# bounded: Debian's kernel has project quotas, and refuses what is past a bound. An instance of its own has all that it keeps on a
# file system with them.
bounded() {
  local at=/mnt/bounded pid
  mkdir -p $at && mount -t ext4 -o loop,prjquota bounded.img $at; check "mount with project quotas" 0 $? || return
  own() { ./bin/sallyport --root $at "$@"; }
  ./bin/sallyport daemon --root $at --containerd private >> /var/log/bounded.log 2>&1 & pid=$!
  own_answers() { own ps > /dev/null 2>&1; }
  await "an instance on that file system answers" own_answers || return
  own apply bounded.hcl; check "apply of bounded groups" 0 $? || return
  check "the bounds are hard" "true true" "$(own status full --json | jq -r '[.bounds[].hard] | join(" ")')"
  pids() { own status "$1" --json | jq -r '[.containers[] | .pid, .restarts] | join(" ")'; }
  local full other; full=$(pids full) other=$(pids other)
  # fill GROUP PATH MIB: what the program that writes is told
  fill() { own exec "$1.web" -- /bin/dd if=/dev/zero "of=$2" bs=1048576 "count=$3" 2>&1 | grep -o 'quota exceeded'; }
  for path in /more /data/more; do
    check "$path within the bound" "" "$(fill full $path 4)"
    check "$path past the bound" "quota exceeded" "$(fill full $path 32)"
    check "$path in a group without bounds" "" "$(fill other $path 32)"
  done
  sed -i 's/8MiB/64MiB/' bounded.hcl; own apply bounded.hcl; check "apply of larger bounds" 0 $?
  for path in /more /data/more; do check "$path within the larger bound" "" "$(fill full $path 32)"; done
  try() { own exec full.web -- /attack try "$1" 192.0.2.1 1 | jq -r '.error // "done"'; }
  for deed in project project-upper project-flags project-flags-32; do check "$deed by a container" "operation not permitted" "$(try $deed)"; done
  check "project-read by a container" done "$(try project-read)"
  check "the processes of the bounded group" "$full" "$(pids full)"
  check "the processes of the other group" "$other" "$(pids other)"

  kill "$pid"; wait "$pid" 2> /dev/null
  ./bin/sallyport daemon --root $at --containerd private >> /var/log/bounded.log 2>&1 & pid=$!
  await "its next daemon answers" own_answers
  check "the bounds after that" "67108864 true 67108864 true" "$(own status full --json | jq -r '[.bounds[] | .size, .hard] | join(" ")')"
  own rm --volumes bounded.hcl; check "rm of bounded groups" 0 $?
  kill "$pid"; wait "$pid" 2> /dev/null
  umount $at; check "umount" 0 $?
}

# jump BY: the clock jumps, and it must have no effect.
jump() {
  local before; before=$(lives d)
  date -s "$1" > /dev/null
  sleep 12
  check "after a jump of $1 the same processes run" "$before" "$(lives d)"
  check "after a jump of $1 the group runs" running "$(field d .state)"
}

first_boot() {
  check "this host has cgroup v2 and nothing else" cgroup2fs "$(stat -fc %T /sys/fs/cgroup)"
  daemon
  apart
  kernel
  quotas
  bounded
  sallyport apply life.hcl resting.hcl; check "apply" 0 $? || return
  limits
  jump "+1 hour"
  jump "-2 hours"

  sallyport apply --settle 1s --var word=two life.hcl & local apply=$!
  sleep 4; date -s "+3 hours" > /dev/null
  wait $apply; check "an update with a jump of 3 hours in its trial" 0 $?
  check "the generation of that update stays" 2 "$(field d .generation)"

  local before; before=$(lives d)
  systemctl restart containerd
  sleep 15
  check "after a restart of containerd the same processes run" "$before" "$(lives d)"

  local pid place; pid=$(pid_of d.a); place=$(stat -c %i $cgroup/members/a)
  kill -9 "$pid"; date -s "-1 hour" > /dev/null
  back() { local now; now=$(pid_of d.a); is d running && [ "$now" != "$pid" ]; }
  await "what was killed comes back, with the clock an hour back" back
  check "its cgroup stays" "$place" "$(stat -c %i $cgroup/members/a)"
  check "what the init wrote" two "$(cat $volume/data/word)"
  sallyport stop resting; check "stop" 0 $?
  no_fallback
  power_cut
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
  await "the group comes back from the disk" is d running
  check "its generation" 2 "$(field d .generation)"
  limits
  check "what was stopped stays so" stopped "$(sallyport status resting --json | jq -r .state)"
  sallyport rm --volumes d resting; check "rm --volumes" 0 $?
  check "nothing is left of the groups" "" "$(ls -d $cgroup $volume 2>/dev/null; ip -o link | grep -o 'sp-[^@:]*'; ctr -n sallyport containers ls -q)"
}

case $VMHOST_BOOT in
1) first_boot ;;
2) after_the_cut ;;
*) unknown_boot 2 ;;
esac
grep -E 'level=(WARN|ERROR)' /var/log/daemon.log | tail -8
finish
