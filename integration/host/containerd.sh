#!/bin/bash
# containerd.sh - tests of the service with the host's own containerd. `make test-host` runs it as root in a throw-away Debian machine
# without a network. It installs what `make install` has installed into root/, and a configuration that names Debian's containerd.
# Then it restarts, ends and kills the one and the other. The same processes run. The machine boots twice. Each check prints a line,
# and the last line counts them.
. ./checks.sh containerd web

places() {
  check "$1: the containerd is the host's" "active inactive" "$(systemctl is-active containerd sallyport-containerd | paste -sd' ')"
  check "$1: the shims are in its unit" /system.slice/containerd.service "$(units_of_shims)"
  check "$1: the containers are not" /sallyport/web "$(cgroup_of "$(pid_of web.a)" | cut -d/ -f1-3)"
}

# comes_back WHEN: what is killed is seen, and started again.
comes_back() {
  local pid; pid=$(pid_of web.a)
  kill -9 "$pid"
  again() { local now; now=$(pid_of web.a); is web running && [ "$now" != "$pid" ]; }
  await "$1: what is killed comes back" again
}

first_boot() {
  cp -a root/. / && cp build/images/busybox.tar /srv
  echo 'containerd { socket = "/run/containerd/containerd.sock" }' > /etc/sallyport/sallyport.hcl
  cp service.hcl /etc/sallyport/groups.d/
  systemctl daemon-reload
  systemctl enable --now sallyport; check "the service starts" 0 $? || last_lines
  await "the group runs" is web running
  await "and the group beside it" is resting running
  sallyport stop resting; check "stop" 0 $?
  places "at first"

  local before; before=$(lives web)
  systemctl restart sallyport; check "restart of the service" 0 $?
  same_after "a restart of the service" "$before"
  systemctl restart containerd; check "restart of containerd" 0 $?
  await "the group is seen again" is web running
  same_after "a restart of containerd" "$before"
  kill -9 "$(systemctl show -P MainPID containerd)"
  await "containerd is back after a kill" ctr version
  await "the group is seen again" is web running
  same_after "a kill of containerd" "$before"
  comes_back "after that"

  before=$(lives web)
  systemctl stop containerd; check "stop of containerd" 0 $?
  check "the service runs on" active "$(systemctl is-active sallyport)"
  kill -0 $(grep -o ' [0-9]* ' <<< "$before"); check "so do the containers" 0 $?
  systemctl restart sallyport; check "restart of the service meanwhile" 0 $?
  systemctl start containerd; check "start of containerd" 0 $?
  await "the group is seen again" is web running
  same_after "a stop of containerd" "$before"
  comes_back "after that too"
  places "at last"
  reboot
}

after_the_reboot() {
  check "after a reboot the service runs" active "$(systemctl is-active sallyport)"
  await "after a reboot the group comes back" is web running
  check "after a reboot the group that was stopped stays so" stopped "$(field resting .state)"
  places "after a reboot"
  local before; before=$(lives web)
  systemctl restart sallyport containerd; check "restart of both" 0 $?
  await "the group is seen again" is web running
  same_after "a restart of both" "$before"
  sallyport rm /etc/sallyport/groups.d/service.hcl; check "rm" 0 $?
}

case $VMHOST_BOOT in
1) first_boot ;;
2) after_the_reboot ;;
*) unknown_boot 2 ;;
esac
warnings
finish
