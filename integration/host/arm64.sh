#!/bin/bash
# arm64.sh - the first example on an arm64 host. `make test-arm64` runs it as root in a throw-away Debian machine without a network.
# It installs the package, applies the example as the README does, and tries what the door promises, with a control for each
# refusal. After a reboot it looks again. So the machine boots twice. Each check prints a line, and the last line counts them.
. ./checks.sh arm64 first
patience=300

# The world is a network namespace, one link away.
world=198.51.100.10 gate=198.51.100.11 world6=2001:db8:51::10 gate6=2001:db8:51::11

by() { sallyport exec "$1" -- "${@:2}" 2>&1; }
in_world() { ip netns exec world "$@"; }
get() { timeout 60 busybox wget -qO- "$1" 2>&1; }

make_world() {
  ip netns add world
  ip link add towards type veth peer name eth0 netns world
  ip addr add $gate/31 dev towards; ip addr add $gate6/64 dev towards nodad; ip link set towards up
  in_world ip addr add $world/31 dev eth0; in_world ip addr add $world6/64 dev eth0 nodad
  in_world ip link set lo up; in_world ip link set eth0 up
  in_world nft -f - << N
table inet seen {
  set ports { type inet_service; flags dynamic; }
  chain arrivals {
    type filter hook prerouting priority raw
    ip daddr $world th dport 7000-8999 update @ports { th dport }
    ip6 daddr $world6 th dport 7000-8999 update @ports { th dport }
  }
}
N
  mkdir -p /srv/world; echo "a page of the world" > /srv/world/index.html
  in_world busybox httpd -p 80 -h /srv/world
  in_world busybox httpd -p 8000 -h /srv/world
  await "the world has a page" get http://$world/
  await "and one at a port that no proxy calls" get http://$world:8000/
}

# arrivals prints the ports at which something arrived since it was last asked.
arrivals() {
  in_world nft -j list set inet seen ports | jq -r '[.nftables[].set?.elem? // [] | .[]] | sort | join(" ")'
  in_world nft flush set inet seen ports
}

# first: what the README shows of the first group.
first() {
  await "$1: the first group runs" is first running
  check "$1: in, through the ambassador" "hello from behind the door" "$(get http://127.0.0.1:8088/)"
  check "$1: in from another host" "hello from behind the door" "$(in_world timeout 60 busybox wget -qO- http://$gate:8088/ 2>&1)"
  check "$1: out, through the ambassador" "a page of the world" "$(by first.web wget -qO- http://127.0.0.1:9001/)"
  arrivals > /dev/null
  check "$1: around the ambassador" "wget: can't connect to remote host ($world): Connection refused" "$(by first.web wget -qO- http://$world:8000/)"
  check "$1: of that nothing arrived" "" "$(arrivals)"
}

# door: what members send doesn't reach the world, nor the world them. What the ambassador sends does, by the same program.
# Each way has a port of its own, and the world keeps the ports at which something arrives.
door() {
  await "$1: the group with the attackers runs" is door running
  local program address all="7100 7101 7102 7103 7104 7105 7106 7107"
  # Connection tracking checks UDP-Lite's checksum as if it were UDP's, so none is right, and the host's rules drop what it can't
  # track. Without the check an ambassador's arrives. Else "nothing arrives" would say nothing about a member's.
  sysctl -qw net.netfilter.nf_conntrack_checksum=0
  for program in /attack /attack32; do
    arrivals > /dev/null
    ways door.a $program > /dev/null; check "$1: $program by a member: nothing arrives" "" "$(arrivals)"
    ways door.p $program > /dev/null; check "$1: $program by the ambassador: all arrives" "$all" "$(arrivals)"
    check "$1: $program: sockets that the rules don't see" 6 "$(by door.a sh -c "
      for how in packet sock-packet raw-ip vsock netfilter io_uring; do $program try \$how $world 7002; done" | grep -c '"error":')"
    check "$1: $program by a member: listens at a published port" "attack: listen tcp :7000: bind: operation not permitted" "$(listens $program 7000)"
    check "$1: $program by a member: listens at another port" "listening on :7003" "$(listens $program 7003)"
  done
  address=$(field door '.addrs[0]')
  in_world ip route replace "$address" via $gate
  uninvited > /dev/null
  reaches "$address" 7002; check "$1: the world calls a member" 1 $?
  check "$1: the host's rules refuse that" true "$(uninvited)"
  by door.p /attack try tcp 127.0.0.1 7002 | answered; check "$1: the ambassador calls the member" 0 $?
  await "$1: the world calls the ambassador" reaches $gate 7001
}
ways() {
  by "$1" sh -c "port=7100; for to in $world $world6; do for how in tcp udp udp-unconnected udplite; do
    $2 try \$how \$to \$port; port=\$((port + 1)); done; done"
}
reaches() { in_world ./attack try tcp "$1" "$2" | answered; }
answered() { jq -es 'length == 1 and (.[0] | has("error") | not)' > /dev/null; }
listens() { by door.a timeout 20 "$1" listen "$2" | sed -n 1p; }
# uninvited: something came since it was last asked that no group wants.
uninvited() { nft -j reset counter inet sallyport uninvited | jq '.nftables[1].counter.packets > 0'; }

first_boot() {
  check "the machine" "aarch64 arm64" "$(uname -m) $(dpkg --print-architecture)"
  cp busybox.tar haproxy.tar attack.tar /srv
  dpkg -i sallyport.deb; check "install" 0 $?
  check "the service is enabled" enabled "$(systemctl is-enabled sallyport)"
  check "the service runs" active "$(systemctl is-active sallyport)" || last_lines
  sallyport doctor; check "doctor" 0 $?
  sallyport version
  make_world
  sallyport apply --var app=oci-archive:/srv/busybox.tar --var proxy=oci-archive:/srv/haproxy.tar --var world=$world:80 first.hcl; check "apply" 0 $?
  cp arm64.hcl /etc/sallyport/groups.d/
  first "first boot"
  sallyport denials first; check "who was refused" 0 $?
  sallyport status first
  door "first boot"
  reboot
}

after_the_reboot() {
  check "after a reboot the service runs" active "$(systemctl is-active sallyport)"
  make_world
  first "after a reboot"
  door "after a reboot"
  sallyport rm first arm64.hcl; check "rm" 0 $?
  dpkg -P sallyport; check "purge" 0 $?
}

case $VMHOST_BOOT in
1) first_boot ;;
2) after_the_reboot ;;
*) unknown_boot 2 ;;
esac
warnings
finish
