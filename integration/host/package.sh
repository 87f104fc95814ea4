#!/bin/bash
# package.sh - the life of the Debian package on a real host. `make test-package` runs it as root in a throw-away Debian machine
# without a network, beside two packages of different versions, older.deb and newer.deb. It installs, upgrades, downgrades,
# removes and purges. Between them are a reboot and a power cut, so the machine boots three times. Each check prints a line, and
# the last line counts them.
. ./checks.sh package packaged

installed() { dpkg-query -W -f '${db:Status-Status} ${Version}' sallyport; }
version() { dpkg-deb -f "$1" Version; }

# put DEB WHAT: installs a version over another. The same processes run, under a new daemon.
put() {
  local before was; before=$(lives packaged) was=$(daemon_pid)
  dpkg -i "$1"; check "$2" 0 $?
  check "after the $2 its version is installed" "installed $(version "$1")" "$(installed)"
  check "after the $2 the program is of that version" "$(version "$1")" "$(sallyport version | grep -o '[0-9]*\.[0-9]*\.[0-9]*' | head -1)"
  check "the $2 restarts the daemon" yes "$([ "$was" != "$(daemon_pid)" ] && [ "$(daemon_pid)" != 0 ] && echo yes)"
  await "after the $2 the group runs" is packaged running
  check "after the $2 the same processes run" "$before" "$(lives packaged)"
}

# left lists what the groups can leave on the host: links, namespaces, processes, containers, mounts, tables.
left() {
  { ip -o link | grep -o 'sp-[^@:]*'; ls /run/sallyport/netns; find /sys/fs/cgroup/sallyport -name cgroup.procs -exec cat {} +
    ctr -n sallyport tasks ls -q; pgrep -f containerd-shim-runc-v2; grep -o '/[^ ]*sallyport[^ ]*volumes[^ ]*' /proc/mounts
    nft list tables | grep sallyport; } 2> /dev/null | tr '\n' ' '
}

first_boot() {
  cp build/images/busybox.tar /srv
  dpkg -i older.deb; check "install" 0 $?
  check "the service is enabled" enabled "$(systemctl is-enabled sallyport)"
  check "the service runs" active "$(systemctl is-active sallyport)" || last_lines
  check "the units are as systemd wants them" "" "$(against sallyport.service sallyport-containerd.service sallyport-output.service)"
  check "the folder of group files is empty" "" "$(ls -A /etc/sallyport/groups.d)"
  cp package.hcl /etc/sallyport/groups.d/
  await "a file put into groups.d runs" is packaged running
  await "and the group beside it" is resting running
  sallyport stop resting; check "stop" 0 $?

  echo SALLYPORT_LOG_LEVEL=debug >> /etc/default/sallyport
  put newer.deb upgrade
  put older.deb downgrade
  check "what the operator wrote into the configuration stays" SALLYPORT_LOG_LEVEL=debug "$(tail -1 /etc/default/sallyport)"
  reboot
}

after_the_reboot() {
  await "after a reboot the group runs" is packaged running
  check "after a reboot what was stopped stays so" stopped "$(field resting .state)"
  put newer.deb "second upgrade"
  check "the group's data is there" kept "$(tail -1 /var/lib/sallyport/volumes/packaged/data/word)"
  sync
  power_cut
}

after_the_cut() {
  await "after a power cut the group runs" is packaged running
  check "after a power cut the version is there" "installed $(version newer.deb)" "$(installed)"

  local unit; unit=$(systemctl is-active sallyport-containerd)
  dpkg -r sallyport; check "remove" 0 $?
  check "a removal leaves nothing that runs" "" "$(left)"
  check "a removal ends the daemon" inactive "$(systemctl is-active sallyport)"
  check "a removal leaves the group file" package.hcl "$(ls /etc/sallyport/groups.d)"
  check "a removal leaves the volume" kept "$(tail -1 /var/lib/sallyport/volumes/packaged/data/word)"
  check "a removal leaves the configuration" SALLYPORT_LOG_LEVEL=debug "$(tail -1 /etc/default/sallyport)"

  dpkg -i newer.deb; check "install again" 0 $?
  await "what the removal stopped runs again" is packaged running
  check "what the operator stopped stays so" stopped "$(field resting .state)"
  check "the private containerd is as before" "$unit" "$(systemctl is-active sallyport-containerd)"

  systemctl disable sallyport 2> /dev/null
  dpkg -i older.deb; check "an upgrade of a service that is disabled" 0 $?
  check "it stays disabled" disabled "$(systemctl is-enabled sallyport)"
  dpkg -P sallyport; check "purge" 0 $?
  check "a purge leaves nothing that runs" "" "$(left)"
  check "a purge leaves no file" "" "$(ls -d /etc/sallyport /etc/default/sallyport /var/lib/sallyport /var/log/sallyport /usr/bin/sallyport 2> /dev/null)"
  check "a purge leaves no unit" "" "$(systemctl list-unit-files -q 'sallyport*'; ls /etc/systemd/system/*/sallyport* 2> /dev/null)"
}

case $VMHOST_BOOT in
1) first_boot ;;
2) after_the_reboot ;;
3) after_the_cut ;;
*) unknown_boot 3 ;;
esac
finish
