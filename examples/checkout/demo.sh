#!/bin/bash
# The checkout example from beginning to end, as a person would try it. It uses one temporary folder, one
# network namespace that plays the world, and names of its own. At the end all of it is gone, and the
# last chapter checks that. Its exit status is not 0 if anything is not as promised.
#
# Run it with `sudo make demo`, which builds what it needs. PORT=... chooses another host port than 8088.
set -euo pipefail
cd "$(dirname "$0")/../.."

world=198.51.100.10 # a TEST-NET address: no host on any network has it
gate=198.51.100.11  # the host's end of the link to it
port=${PORT:-8088}

name=sallyport-demo-$$
link=spdemo$$
root=$(mktemp -d "/tmp/$name.XXXXXX")
export SALLYPORT_ROOT=$root
PATH=$PWD/bin:$PATH:/usr/sbin:/sbin

bold='' dim='' green='' red='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
	bold=$'\e[1m' dim=$'\e[2m' green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m'
fi

chapter() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
note() { printf '%s  %s%s\n' "$dim" "$*" "$plain"; }
good() { printf '  %sok%s    %s\n' "$green" "$plain" "$*"; }
bad() {
	printf '  %snot ok%s  %s\n' "$red" "$plain" "$*"
	exit 1
}

# try COMMAND...: shows the command and its output. The output is then in $said, its exit status in $status.
try() {
	printf '  %s$ %s%s\n' "$bold" "$*" "$plain" | sed 's,\$ in_world,in the world $,; s,build/static/,,'
	status=0
	said=$("$@" 2>&1) || status=$?
	[ -z "$said" ] || sed 's/^/    /' <<<"$said"
}

# must COMMAND...: like try, but the command has to succeed.
must() {
	try "$@"
	[ "$status" = 0 ] || bad "$1 ended with status $status"
}

# wait_for SECONDS WHAT COMMAND...: waits until the command succeeds.
wait_for() {
	local deadline=$((SECONDS + $1)) what=$2
	shift 2
	until "$@" >/dev/null 2>&1; do
		[ "$SECONDS" -lt "$deadline" ] || bad "waited in vain: $what"
		sleep 0.1
	done
}

in_world() { nsenter --net="/proc/$world_pid/ns/net" "$@"; }
in_group() { nsenter --net="$root/run/netns/checkout" "$@"; }
alive() { [ -n "$1" ] && kill -0 "$1" 2>/dev/null; }

# processes prints the processes with our name on their command line. grep reads the name from its input, so
# that it does not find itself.
processes() { grep -lF -f - /proc/[0-9]*/cmdline <<<"$name." 2>/dev/null | cut -d/ -f3; }

# end PID: ends a child of ours and waits for it.
end() {
	alive "$1" || return 0
	kill "$1"
	wait "$1" || true
}

start_daemon() {
	sallyport daemon --containerd private --containerd-namespace "$name" --cgroup-root "/$name" --table "$name" \
		>>"$root/daemon.log" 2>&1 &
	daemon_pid=$!
	wait_for 30 "the daemon's socket" answers_or_ended
	alive "$daemon_pid" || bad "the daemon ended"
}
answers_or_ended() { answers || ! alive "$daemon_pid"; }
# answers succeeds when the daemon has looked at all groups.
answers() {
	listed=$(sallyport ps) || return 1
	case $listed in *"until the daemon has"*) return 1 ;; esac
}

# pids prints each container's process.
pids() { sallyport status checkout --json | grep '"pid"'; }

daemon_pid='' world_pid=''

end_both() {
	end "$daemon_pid"
	# We remove the link here. The kernel would remove it with its namespace, but at a time of its own.
	[ -z "$world_pid" ] || ip link del "$link" 2>/dev/null || true
	end "$world_pid"
	daemon_pid='' world_pid=''
}

# take_down may be called at any point, and more than once.
take_down() {
	if alive "$daemon_pid"; then
		sallyport rm checkout >/dev/null 2>&1 || true
	fi
	end_both
	# Only a failure leaves processes. Their command lines have a name that only this run uses.
	for pid in $(processes || true); do kill -9 "$pid" 2>/dev/null || true; done
}

finish() {
	local status=$?
	trap - EXIT
	take_down
	if [ "$status" != 0 ] && [ -s "$root/daemon.log" ]; then
		printf '\nThe end of the daemon'\''s log:\n' >&2
		tail -n 20 "$root/daemon.log" >&2
	fi
	rm -rf --one-file-system "$root" || status=1
	exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

[ "$(id -u)" = 0 ] || bad 'needs root: run it with `sudo make demo`'
[ -x bin/sallyport ] && [ -x build/static/payments ] || bad 'not built: run it with `sudo make demo`'

chapter "1. A world"
note "A network namespace with a payments service and a log service at $world, one link away."
unshare --net build/static/payments -payments :8080 -logs :8081 >"$root/world.log" 2>&1 &
world_pid=$!
own_net() { [ "$(readlink "/proc/$world_pid/ns/net")" != "$(readlink /proc/self/ns/net)" ]; }
wait_for 5 "the world's namespace" own_net
ip link add "$link" type veth peer name eth0 netns "$world_pid"
ip addr add "$gate/31" dev "$link"
ip link set "$link" up
in_world ip addr add "$world/31" dev eth0
in_world ip link set lo up
in_world ip link set eth0 up
# A published port has to be reached from another machine. The world sees only this address of the host.
wait_for 5 "an answer from $world" build/static/web try "http://$world:8080/"
must build/static/web try "http://$world:8080/"

chapter "2. A daemon"
note "All its files are in $root, a containerd of its own included."
start_daemon
good "it answers"

chapter "3. The group: web and shipper inside, proxy as its door"
must sallyport apply --var "port=$port" examples/checkout/checkout.hcl
must sallyport status checkout
index=$(in_group ip -o link show eth0 | sed 's/.*eth0@if\([0-9]*\):.*/\1/')
group_link=$(ip -o link | awk -F'[:@ ]+' -v index_="$index" '$1 == index_ { print $2 }')
[ -n "$group_link" ] || bad "the host has no link to the group"

chapter "4. The app's call through its ambassador is answered"
must sallyport exec checkout.web -- /web try http://127.0.0.1:9001/
note "So is one by the name that the service has in the world."
must sallyport exec checkout.web -- /web try http://payments.example.com:9001/
grep -q "^payment from .*: order 1$" "$root/world.log" || wait_for 10 "an order" grep -q "payment from .*: order " "$root/world.log"
good "and the world has its orders: $(grep -m1 'order ' "$root/world.log")"

chapter "5. The same call made directly is refused, at once"
try sallyport exec checkout.web -- /web try "http://$world:8080/"
[ "$status" != 0 ] || bad "it got out"
grep -q 'connection refused' <<<"$said" || bad "not refused"
grep -Eq 'after [0-9.]+(µs|ms):' <<<"$said" || bad "it took longer than milliseconds"
good "refused by the kernel; app and proxy have the same user id, so the rules did not go by it"

chapter "6. In from outside: only through the door"
must in_world build/static/web try "http://$gate:$port/"
grep -q '^ *200 OK.*checkout:' <<<"$said" || bad "the published port did not lead to the app"
good "the world reaches the shop's page on port $port, through the proxy"

chapter "7. The sidecar's log lines arrived outside"
wait_for 15 "a log line" grep -q '^log line from ' "$root/world.log"
must grep -m3 '^log line from ' "$root/world.log"

chapter "8. Who tried"
note "The rules count by the cgroup in which a packet's socket was made."
must sallyport status checkout
denied=$(sed -n 's/.*members: \([0-9]*\) refused.*/\1/p' <<<"$said")
[ "${denied:-0}" -gt 0 ] || bad "the app's attempt was not counted"
good "$denied of the members' packets tried to leave, and none did"

chapter "9. The daemon is killed; the group doesn't notice"
before=$(pids)
kill -9 "$daemon_pid"
wait "$daemon_pid" 2>/dev/null || true
orders=$(grep -c '^payment' "$root/world.log")
more_orders() { [ "$(grep -c '^payment' "$root/world.log")" -gt $((orders + 1)) ]; }
wait_for 10 "orders without a daemon" more_orders
good "no daemon, and the orders go on: $(grep '^payment' "$root/world.log" | tail -n 1)"
start_daemon
must sallyport ps
[ "$(pids)" = "$before" ] || bad "the new daemon did not take the group over as it was"
try sallyport exec checkout.web -- /web try "http://$world:8080/"
[ "$status" != 0 ] || bad "it got out"
good "the next daemon took it over without a restart, and the door is the only one, as before"

chapter "10. Take it down"
must sallyport rm checkout
must sallyport ps
end_both

chapter "11. Nothing is left"
# nothing WHAT COMMAND...: the command must print nothing.
left=0
nothing() {
	local what=$1 found
	shift
	found=$("$@" 2>/dev/null) || true
	if [ -z "$found" ]; then
		good "no $what"
	else
		printf '  %snot ok%s  %s:\n%s\n' "$red" "$plain" "$what" "$(sed 's/^/      /' <<<"$found")"
		left=1
	fi
}
tables() { nft list tables | grep -F "$name"; }
links() { ip -o link | grep -w "$link\|$group_link"; }
nothing "namespaces" find "$root/run/netns" -mindepth 1
nothing "links" links
nothing "tables" tables
nothing "cgroups" find /sys/fs/cgroup -type d -path "*$name*"
nothing "mounts" grep -F "$name" /proc/self/mountinfo
nothing "containers" find "$root" -path '*io.containerd.runtime.v2.task*' -name config.json
nothing "processes" processes
nothing "group files" find "$root/groups.d" -mindepth 1
[ "$left" = 0 ] || bad "something is left"

printf '\n%sAll as promised.%s\n' "$bold" "$plain"
