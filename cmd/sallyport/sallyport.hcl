# The configuration of the Sallyport daemon. Every line is a comment that shows a default, or an
# example where the description has the default. To change one, remove "# " from its line and from
# those of its block. Flags and the environment go before this file.
#
#   sallyport validate /etc/sallyport/sallyport.hcl   checks it
#   systemctl reload sallyport                        applies what can change while the daemon runs
#   sallyport doctor                                  shows what is in force, and what waits for a restart

# # Lowest level that the daemon logs: debug, info, warn or error.
# log_level = "info"
# # Cgroup of the groups, from the root of the hierarchy.
# cgroup = "/sallyport"
# # Keys that images have to be signed with, by the beginning of their names. Default: none.
# signed_by "registry.example/team" { key = "/etc/sallyport/keys/team.pub" }

# access {
#   # Unix group whose users may do on the control socket all that root may. So they are root. Default: none.
#   operators = "sallyport"
#   # Unix group whose users may see groups, events and denials there, and change nothing. Default: none.
#   readers = "adm"
# }

# folders {
#   # Folder of the control socket and the namespaces. It is empty after a boot.
#   run = "/run/sallyport"
#   # Folder of the daemon's state, of persistent volumes and of a private containerd.
#   state = "/var/lib/sallyport"
#   # Folder of the containers' output.
#   logs = "/var/log/sallyport"
#   # Folder of the installed group files.
#   groups = "/etc/sallyport/groups.d"
# }

# output {
#   # How much is kept of what a container prints, the newest. A group file may have another size.
#   size = "50MiB"
#   # How much all output may take, of removed groups too. Default: a tenth of the disk, 4GiB at most.
#   total = "2GiB"
#   # How long the output of a removed group is kept.
#   removed = "24h"
# }

# images {
#   # How long an image stays that no group uses, such as 30d. Or never: none is removed because of its age.
#   unused = "never"
#   # How much all images may take, such as 10GiB, before unused ones are removed. Or unlimited.
#   total = "unlimited"
# }

# registries {
#   # Docker's configuration, whose logins and credential helpers are used too, or none.
#   docker_config = "/root/.docker/config.json"
#   # Folder with the mirrors and certificates of each registry, in containerd's layout (hosts.toml), or none.
#   hosts = "/etc/containerd/certs.d"
#   # How many layers are pulled at the same time, of all images together.
#   max_concurrent = "3"
#   # How much is pulled per second, of all images together, such as 1MiB. Or unlimited.
#   rate = "1MiB"
#   # When images are pulled, by the host's clock, such as 22:00-06:00. Or always.
#   window = "22:00-06:00"
# }

# runs {
#   # How many runs go on at the same time. The others wait for their turn.
#   at_once = "8"
#   # How many runs may wait. One more is refused.
#   queued = "1000"
#   # How long a run is known after its end. Its output is bounded by the output block.
#   keep = "24h"
#   # How many runs are known after their end, the latest.
#   records = "1000"
# }

# containerd {
#   # Socket of the containerd to use, or private. Default: the one used before, else the host's if it answers, else private.
#   socket = "private"
#   # Program to run as the private containerd. Default: the containerd on PATH.
#   program = "/usr/bin/containerd"
#   # Namespace of the containers in containerd.
#   namespace = "sallyport"
#   # One runc shim for each group, or one for the whole host, which takes less memory: group or host.
#   shim = "group"
#   # OCI runtime of new containers: runc, crun, or the absolute path of one of the two.
#   runtime = "runc"
# }

# metrics {
#   # Address and port, or path of a unix socket, where Prometheus reads metrics, or off. Default: off.
#   listen = "127.0.0.1:9469"
# }

# network {
#   # IPv4 addresses for the groups' links. A group takes two of them.
#   prefix4 = "10.209.0.0/16"
#   # IPv6 addresses for the groups' links.
#   prefix6 = "fd5a:11e0:9027::/64"
#   # Name of the host's nftables table.
#   table = "sallyport"
# }
