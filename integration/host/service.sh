#!/bin/bash
# service.sh - tests of Sallyport as a service of its host. `make test-host` runs it as root in a throw-away Debian machine without
# a network. It installs what `make install` has installed into root/, puts a file into groups.d, and then does to the service what
# happens in its life: restart, reload, kill, upgrade, stop, hang, reboot, power cut. The same processes run, or the same state
# comes back. Containers have the AppArmor profile. The unit of a group follows the group, and output arrives in systemd's journal. The machine boots three times. Each
# check prints a line, and the last line counts them.
. ./checks.sh service web

places() {
  check "the daemon's unit has the daemon alone" "$(daemon_pid)" "$(tr '\n' ' ' < /sys/fs/cgroup/system.slice/sallyport.service/cgroup.procs | sed 's/ $//')"
  check "the shims are in the unit of the private containerd" /system.slice/sallyport-containerd.service "$(units_of_shims)"
  check "memory of the group" 134217728 "$(cat /sys/fs/cgroup/sallyport/web/memory.max)"
}

first_boot() {
  cp -a root/. / && cp build/images/busybox.tar /srv
  systemctl mask --now containerd.service 2> /dev/null
  systemctl daemon-reload
  check "the units are as systemd wants them" "" "$(against --man=no sallyport.service sallyport-containerd.service sallyport-output.service sallyport@web.service)"
  cp service.hcl /etc/sallyport/groups.d/
  systemctl enable --now sallyport; check "the service starts" 0 $? || last_lines
  check "it runs" active "$(systemctl is-active sallyport)"
  check "so does the private containerd" active "$(systemctl is-active sallyport-containerd)"
  check "so does what bounds the output" active "$(systemctl is-active sallyport-output)"
  await "a file in groups.d becomes groups" is web running
  await "both of them" is resting running
  sallyport stop resting; check "stop of one" 0 $?
  places

  local before pid; before=$(lives web)
  systemctl restart sallyport; check "restart" 0 $?
  same_after "a restart" "$before"
  check "events are in the journal with their fields" "resting stopped" "$(journalctl -u sallyport EVENT=state GROUP=resting -o json | jq -rs 'last | "\(.GROUP) \(.MESSAGE | ltrimstr("resting: "))"')"
  systemctl reload sallyport; check "reload" 0 $?
  await "it is active again after a reload" systemctl is-active sallyport
  systemctl daemon-reload
  same_after "a reload" "$before"
  pid=$(daemon_pid); systemctl kill -s KILL --kill-whom=all sallyport
  await "another daemon after a kill of everything in the unit" another_daemon "$pid"
  same_after "a kill of everything in the unit" "$before"
  pid=$(systemctl show -P MainPID sallyport-containerd); kill -9 "$pid" $(pgrep -f 'containerd --config /run/sallyport')
  await "the private containerd is back after a kill" containerd_back "$pid"
  await "the group is seen again" is web running
  same_after "a kill of the private containerd" "$before"
  systemctl restart sallyport-containerd; check "restart of the private containerd" 0 $?
  await "the group is seen again" is web running
  same_after "a restart of the private containerd" "$before"
  cp /usr/bin/sallyport /usr/bin/.sallyport.new && mv /usr/bin/.sallyport.new /usr/bin/sallyport
  systemctl try-restart sallyport; check "an upgrade" 0 $?
  same_after "an upgrade" "$before"
  local pids; pids=$(field web '[.containers[].pid] | join(" ")')
  systemctl stop sallyport; check "stop" 0 $?
  check "after a stop the daemon is gone" inactive "$(systemctl is-active sallyport)"
  kill -0 $pids; check "after a stop the containers run" 0 $?
  systemctl start sallyport; check "start" 0 $?
  same_after "a stop and a start" "$before"
  places
  hang "$before"
  unit_of_a_group
  profile
  journal
  check "no daemon was killed by the watchdog but the one that hung" 1 "$(journalctl --no-pager -u sallyport | grep -c 'Watchdog timeout')"
  date +%s > since
  reboot
}
containerd_back() { local now; now=$(systemctl show -P MainPID sallyport-containerd); [ "$now" != 0 ] && [ "$now" != "$1" ] && systemctl is-active sallyport-containerd; }

# hang: a daemon that hangs is restarted.
hang() {
  mkdir -p /etc/systemd/system/sallyport.service.d
  printf '[Service]\nWatchdogSec=40s\n' > /etc/systemd/system/sallyport.service.d/test.conf
  systemctl daemon-reload; systemctl restart sallyport
  local pid; pid=$(daemon_pid)
  kill -STOP "$pid"
  patience=400 await "a daemon that hangs is restarted" another_daemon "$pid" # 40 s of WatchdogSec, and 60 s until it is killed
  same_after "a hang" "$1"
  rm -r /etc/systemd/system/sallyport.service.d; systemctl daemon-reload; systemctl restart sallyport
}

# unit_of_a_group: sallyport@web.service follows the group, and other units can be ordered after it.
unit_of_a_group() {
  cat > /etc/systemd/system/after-web.service <<'E'
[Unit]
Requires=sallyport@web.service
After=sallyport@web.service
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'sallyport status web --json | jq -r .state > /run/after-web'
[Install]
WantedBy=multi-user.target
E
  systemctl daemon-reload
  systemctl enable sallyport@web after-web
  systemctl start after-web; check "start of a unit after the group's" 0 $?
  check "it saw the group" running "$(cat /run/after-web)"
  check "the group's unit is active" active "$(unit_state)"
  systemctl restart sallyport
  check "also after a restart of the daemon" "active 0" "$(unit_state) $(systemctl show -P NRestarts sallyport@web)"
  local pid killed; pid=$(pid_of web.p) killed=$(date +%s%3N)
  kill -9 "$pid"
  await "it is not active while the group is degraded" not_active
  follows "a kill of a container" "$killed" ActiveExit
  follows "what the daemon saw of that" "$(group_time degraded)" ActiveExit
  await "it is active when the group runs again" systemctl is-active sallyport@web
  follows "the group's recovery" "$(group_time running)" ActiveEnter
  sallyport stop web; check "stop of the group" 0 $?
  await "its unit is not active" not_active
  follows "a stop of the group" "$(group_time stopping)" ActiveExit
  sallyport start web; check "start of the group" 0 $?
  await "its unit is active" systemctl is-active sallyport@web
  follows "a start of the group" "$(group_time running)" ActiveEnter
  systemctl stop sallyport@web; check "stop of the unit" 0 $?
  check "the group is stopped" stopped "$(field web .state)"
  systemctl start sallyport@web; check "start of the unit" 0 $?
  check "the group runs" running "$(field web .state)"
}

# profile: containers have the AppArmor profile, and it denies what only it denies: root opens /proc/uptime to write anywhere else.
# It comes back when it is gone from the kernel. A container that can't have it is created without it.
profile() {
  check "what doctor shows of the profile" "AppArmor is on, and containers are created with the profile sallyport-default" "$(modules)"
  check "a container has the profile" "sallyport-default (enforce)" "$(profile_of web.a)"
  check "so has what is run in it" "sallyport-default (enforce)" "$(sallyport exec web.a -- cat /proc/self/attr/current)"
  check "it denies a write" "sh: can't create /proc/uptime: Permission denied" "$(writes web.a)"
  drop_profile
  check "a profile that is gone comes back" "sallyport-default (enforce)" "$(sallyport exec web.a -- cat /proc/self/attr/current)"

  local pid parser; pid=$(pid_of web.a) parser=$(command -v apparmor_parser)
  mv "$parser" /root/parser; drop_profile
  check "what doctor shows without a parser" "AppArmor is on, and containers are created without a profile: there is no apparmor_parser on the PATH" "$(modules)"
  kill -9 "$pid"
  await "a container is created without the profile" another web.a "$pid"
  check "it has none" unconfined "$(profile_of web.a)"
  check "nothing denies the write" "" "$(writes web.a)"
  check "the daemon's log has why" yes "$(journalctl --no-pager -u sallyport | grep -q 'without an AppArmor profile.*no apparmor_parser' && echo yes)"
  mv /root/parser "$parser"
  check "what doctor shows with the parser" "AppArmor is on; the profile sallyport-default is loaded before the next container is created" "$(modules)"
  systemctl restart sallyport # it would try again after a minute
  pid=$(pid_of web.a); kill -9 "$pid"
  await "the container is created again" another web.a "$pid"
  check "it has the profile again" "sallyport-default (enforce)" "$(profile_of web.a)"
}
modules() { sallyport doctor --json | jq -r '.. | objects | select(.name? == "security modules") | .found'; }
profile_of() { cat "/proc/$(pid_of "$1")/attr/current"; }
writes() { sallyport exec "$1" -- sh -c ': >> /proc/uptime' 2>&1; }
drop_profile() { echo -n sallyport-default > /sys/kernel/security/apparmor/.remove; }
another() { local now; now=$(pid_of "$1"); is "${1%.*}" running && [ "$now" != "$2" ]; }

# journal: each line that a container prints is in systemd's journal, with its fields, at least once and in its order, whatever is
# stopped and started meanwhile. So are the daemon's own lines. journald's rate is limited, and does not count for these.
journal() {
  mkdir -p /etc/systemd/journald.conf.d
  printf '[Journal]\nRateLimitBurst=100\n' > /etc/systemd/journald.conf.d/test.conf # that, or some times as many, in 30 s
  systemctl restart systemd-journald
  sallyport apply journal.hcl; check "apply of a group whose output goes to the journal" 0 $?
  await "its lines arrive" arrived 200
  check "a line and its fields" "told a told.a 6 null" "$(entry a '"\(.GROUP) \(.CONTAINER) \(.SYSLOG_IDENTIFIER) \(.PRIORITY) \(.STREAM)"' | tail -1)"
  check "a line of standard error" "told b told.b 3 stderr wrong" "$(entry b 'select(.STREAM == "stderr") | "\(.GROUP) \(.CONTAINER) \(.SYSLOG_IDENTIFIER) \(.PRIORITY) \(.STREAM) \(.MESSAGE)"')"
  check "a line that is too long for a datagram" 300000 "$(entry b 'select(.STREAM == "stdout") | .MESSAGE | length')"

  local last
  systemctl stop sallyport-output; check "stop of what sends the output" 0 $?
  last=$(($(printed) + 500))
  await "meanwhile the container prints" prints "$last"
  check "meanwhile nothing arrives" "not yet" "$(arrived "$last" || echo not yet)"
  systemctl start sallyport-output; check "start of what sends the output" 0 $?
  await "what was printed meanwhile arrives" arrived "$last"
  for verb in start stop; do
    systemctl restart systemd-journald & sallyport $verb resting; check "$verb of a group while journald restarts" 0 $?
    wait $!
  done
  systemctl kill -s KILL sallyport-output
  last=$(($(printed) + 500))
  await "after a kill of what sends the output the rest arrives" arrived "$last"
  sallyport stop told; check "stop of that group" 0 $?
  last=$(printed)
  sallyport rm journal.hcl; check "rm of that group" 0 $?
  await "what it printed last arrives" arrived "$last"
  systemd-run -q --wait --unit=flood seq 3000
  check "all its lines arrived in order" "1 to $last" "$(lines a -o cat | in_order)"
  check "the limit of journald's rate is in force" yes "$([ "$(journalctl -q -u flood -o cat | grep -c '^[0-9]*$')" -lt 3000 ] && echo yes)"
  check "the events of the other group are all there" "$(events resting)" "$(journalctl -q -u sallyport EVENT=state GROUP=resting -o cat | sed 's/^resting: //')"
  rm -r /etc/systemd/journald.conf.d; systemctl restart systemd-journald
}
# lines CONTAINER ARG...: the entries of its output.
lines() { journalctl --sync; journalctl -q -a _SYSTEMD_UNIT=sallyport-output.service GROUP=told CONTAINER="$1" "${@:2}"; }
entry() { lines "$1" -o json | jq -r "$2"; }
arrived() { [ "$(lines a -n 1 -o cat | cut -d' ' -f2)" -ge "$1" ]; }
printed() { tail -n 1 /var/log/sallyport/told/a.log | cut -d' ' -f2; }
prints() { [ "$(printed)" -ge "$1" ]; }
# in_order reads "line N", and prints from which to which they are there. A line may come again, and those after it with it.
in_order() {
  awk '$2 > last + 1 { print last + 1 " is missing"; missing = 1; exit }
    { if ($2 <= last) again++; last = $2; if (last > most) most = last }
    END { if (!missing) print "1 to " most; print again + 0 " came again" > "/dev/stderr" }'
}
events() { sallyport events "$1" --json | jq -r 'select(.kind == "state") | .text'; }

# follows WHAT WHEN STAMP: the unit's STAMP is within two seconds of what was at WHEN. Under emulation systemd itself may need longer:
# what it takes for a unit that does nothing is admitted beside that.
follows() {
  local late=$(($(unit_time "$3") - $2)) begin nothing
  begin=$(date +%s%3N); systemd-run -q --wait true; nothing=$(($(date +%s%3N) - begin))
  echo "      $1: $late ms later; a unit that does nothing takes $nothing ms"
  check "the unit follows $1 within two seconds" yes "$([ $late -gt -1000 ] && [ $late -le $((2000 + nothing)) ] && echo yes || echo "$late ms")"
}
# When the group last came to a state, and when the unit last changed, in milliseconds.
group_time() { date -d "$(sallyport events web --json | jq -rs "map(select(.kind == \"state\" and .state == \"$1\")) | last.time")" +%s%3N; }
unit_time() { date -d "$(systemctl show -P "$1Timestamp" --timestamp=us+utc sallyport@web)" +%s%3N; }

unit_state() { systemctl is-active sallyport@web; }
not_active() { [ "$(unit_state)" != active ]; }

# after_boot HOW: the state is that of before the boot.
after_boot() {
  check "after $1 the service runs" active "$(systemctl is-active sallyport)"
  await "after $1 the group comes back" is web running
  await "after $1 the group's unit is active" systemctl is-active sallyport@web
  await "after $1 a unit after it saw the group run" grep -qx running /run/after-web
  check "its generation" 1 "$(field web .generation)"
  check "after $1 a container has the profile" "sallyport-default (enforce)" "$(profile_of web.a)"
  check "after $1 the group that was stopped stays so" stopped "$(field resting .state)"
  check "after $1 no state of the group is recorded but these" "" "$(states | grep -vxE 'starting|running|degraded' | tr '\n' ' ')"
  places
}
states() { sallyport events web --json | jq -r "select(.kind == \"state\" and (.time | sub(\"\\\\..*\"; \"Z\") | fromdate) > $(cat since)) | .state"; }

case $VMHOST_BOOT in
1) first_boot ;;
2)
  after_boot "a reboot"
  check "a shutdown leaves the daemon no time to repair" "" "$(journalctl --no-pager -b -1 -u sallyport EVENT=drift -o cat)"
  date +%s > since; sync
  power_cut
  ;;
3)
  after_boot "a power cut"
  systemctl stop sallyport
  ;;
*) unknown_boot 3 ;;
esac
warnings
finish
