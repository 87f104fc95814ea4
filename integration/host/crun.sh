#!/bin/bash
# crun.sh - the promise with crun as the runtime. `make test-host` runs it as root in a throw-away Debian machine, since crun needs a
# host with cgroup v2 alone. An app attacks from its first instruction on. A member tries each technique of the attacker by exec, and
# for the control the ambassador tries some. They send to a world that remembers each address that was reached. Each check prints
# a line, and the last line counts them.
. ./checks.sh crun c

program=${CRUN:-crun}
sallyport() { ./bin/sallyport "$@"; }
daemon() { ./bin/sallyport daemon --runtime "$1" >> daemon.log 2>&1 & daemon=$!; await "a daemon with ${1##*/} answers" answers; }
end_daemon() { kill "$@" "$daemon"; wait "$daemon" 2> /dev/null; }

world() {
  ip netns add world && ip link set lo up && ip link add up0 type veth peer name eth0 netns world
  ip addr add 192.0.2.1/24 dev up0 && ip link set up0 up
  ip -n world addr add 192.0.2.10/24 dev eth0 && ip -n world link set eth0 up && ip -n world link set lo up
  ip -n world route add local 198.51.100.0/24 dev lo && ip route add default via 192.0.2.10
  ip netns exec world nft -f - <<< 'table ip seen {
    set addresses { type ipv4_addr; size 256; flags dynamic; }
    chain in { type filter hook prerouting priority raw; ip daddr 198.51.100.0/24 add @addresses { ip daddr }; }
  }'
  check "a world to attack" 0 $?
}
reached() { ip netns exec world nft get element ip seen addresses "{ 198.51.100.$1 }" > /dev/null 2>&1 && echo reached || echo nothing; }
safe() { check "$1: nothing comes from the app that attacks" nothing "$(reached 66)"; }

techniques="tcp udp udp-unconnected udplite udp-gso sctp mptcp fastopen ping raw-icmp fragments dontroute source-route ambassador-uid
  mark bindtodevice published-port v4-mapped ip-options pktinfo other-source-udp packet packet-raw sock-packet raw-ip raw-header x32 io_uring"

# attack WHEN FIRST: each technique has an address of its own, from FIRST on.
attack() {
  local name at=$2
  tries side "$at" $techniques
  for name in $techniques; do
    check "$1: $name by a member, which was answered: $(answer $name)" nothing "$(reached $at)"
    at=$((at + 1))
  done
  tries amb "$at" tcp udp
  for name in tcp udp; do
    check "$1: $name by the ambassador" reached "$(reached $at)" || answer $name
    at=$((at + 1))
  done
  safe "$1"
}
# tries CONTAINER FIRST TECHNIQUE...: one exec tries them all, since a program's start takes a second here.
tries() {
  sallyport exec "c.$1" -- /bin/sh -c 'at=$1; shift
    for name; do echo "$name $(/attack try "$name" "198.51.100.$at" 80 2>&1 | tr "\n" " ")"; at=$((at + 1)); done' tries "${@:2}" > answers 2>&1
  check "all ${*:3} were tried by $1" $(($# - 2)) "$(grep -c '^[a-z0-9_-]* {' answers)" || cat answers
}
answer() { sed -n "s/^$1 //p" answers | jq -r '.error // "done"' 2> /dev/null | paste -sd" "; }

# made_by RUNTIME CONTAINER: each runtime keeps a file of its own.
made_by() { [ -e "$(echo /run/containerd/runc/*/"$2")/$([ "$1" = crun ] && echo status || echo state.json)" ] && echo yes || echo no; }

main() {
  if ls ./*.deb > /dev/null 2>&1; then dpkg -i ./*.deb > /dev/null; check "install crun" 0 $?; fi
  check "this host has cgroup v2 and nothing else" cgroup2fs "$(stat -fc %T /sys/fs/cgroup)"
  world || return
  daemon "$program"
  check "doctor on crun" true "$(sallyport doctor --runtime "$program" --json | jq -r '.[] | select(.name == "crun") | .ok')"
  sallyport apply crun.hcl; check "apply" 0 $? || return
  for name in app side amb; do check "crun made $name" yes "$(made_by crun c.$name)"; done
  attack "at first" 100
  kill -9 "$(pid_of c.app)"
  again() { [ "$(field c '.containers[] | select(.name == "app") | .restarts')" = 1 ] && is c running; }
  await "the app is started again" again
  safe "after the app's restart"

  local before; before=$(lives c)
  end_daemon -9; safe "without a daemon"
  daemon runc
  check "a daemon with runc keeps the processes" "$before" "$(lives c)"
  attack "after the change to runc" 140
  sed -i 's/2ms/3ms/' crun.hcl; sallyport apply crun.hcl; check "apply of another app" 0 $?
  check "runc made the app" yes "$(made_by runc c.app)"
  check "the others are crun's" "yes yes" "$(made_by crun c.side) $(made_by crun c.amb)"
  end_daemon; daemon "$program"
  attack "after the change back" 180
  sallyport rm c; check "rm" 0 $?
  check "what the runtimes left" "" "$(ls -A /run/containerd/runc/*/ 2> /dev/null | grep '^c\.')"
  end_daemon
}

main
finish
