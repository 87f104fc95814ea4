package spec

// Hints for the names that other systems' files have.
const (
	writeVolume    = `Declare a volume in the group (volume "NAME" { size = "64MiB" }) and mount it: mount "NAME" { path = "/path" }.`
	writeReady     = `Write: probe "ready" { http = { port = 8080, path = "/healthz" } }`
	writeLive      = `Write: probe "live" { http = { port = 8080, path = "/healthz" } }`
	writeStartup   = `Write: probe "startup" { http = { port = 8080, path = "/healthz" } }`
	writeUpdate    = `Write in the group: update { auto_revert = true }`
	writeTimeout   = `Write: stop { timeout = "10s" }`
	writeDeadline  = `Write in the group block, for all of a job: timeout = "30m"`
	writeSchedule  = `Write in the group: schedule { cron = "30 2 * * *" }`
	writeSwap      = `Write, beside the memory: resources { swap = "64MiB" }`
	writeOutput    = `The size of what is kept of its output: output { size = "50MiB" }`
	writeIOWeight  = `Write: resources { io_weight = 100 }`
	writeReadOnly  = `Write: read_only = true`
	writeReload    = `Write, in the file's block: reload = "SIGHUP"`
	writeTmpfs     = `Write, for one container: tmpfs "/path" { size = "64MiB" }. For several, declare a volume in the group and mount it.`
	writeDisk      = `For what a container writes to its root file system, write: resources { disk = "1GiB" }. For a persistent volume, write its size.`
	oneOfRoles     = "A container is an app, a sidecar, an init or the ambassador."
	fixedOrder     = `The order is fixed: the ambassador, the inits one by one, the sidecars, the apps, each stage when the one before is ready. Among sidecars: after = ["NAME"].`
	throughPublish = "The ambassador is the only way in: give it a publish block."
	byResolver     = "The resolvers that the ambassador asks are in the group's network block: dns { servers = [\"192.0.2.53\"] }."
	byHosts        = "Members find an upstream by name: upstream \"NAME\" { hosts = [\"payments.example.com\"] }."
)

// foreign are the hints by name, for every place in a group.
var foreign = map[string]string{
	"environment":                      "Write: env = { NAME = \"value\" }",
	"entrypoint":                       "Write: command = [\"...\"]",
	"cmd":                              "Write: args = [\"...\"], or command = [\"...\"] to replace the image's entrypoint as well.",
	"working_dir":                      "Write: workdir = \"/path\"",
	"working_folder":                   "Write: workdir = \"/path\"",
	"ports":                            throughPublish,
	"port":                             throughPublish,
	"expose":                           "Containers of a group reach each other on localhost without it; the world reaches the ambassador, through a publish block.",
	"volumes":                          writeVolume,
	"binds":                            writeVolume,
	"volume_mounts":                    writeVolume,
	"volume_mount":                     writeVolume,
	"depends_on":                       fixedOrder,
	"requires":                         fixedOrder,
	"before":                           fixedOrder,
	"container":                        oneOfRoles,
	"containers":                       oneOfRoles,
	"service":                          oneOfRoles,
	"init_containers":                  "Write: init \"NAME\" { image = \"...\" }",
	"init_container":                   "Write: init \"NAME\" { image = \"...\" }",
	"lifecycle":                        "A container that runs to its end before the others is an init block, and one that helps them a sidecar block. The stop block sets how a container is asked to end.",
	"change_mode":                      writeReload,
	"change_signal":                    writeReload,
	"reload":                           writeReload,
	"reload_signal":                    writeReload,
	"reload_cmd":                       writeReload,
	"exec_reload":                      writeReload,
	"essential":                        "The effect of its failure on the group is on_failure: \"restart\", \"stop-group\" or \"ignore\".",
	"proxy":                            "The proxy of a group is its ambassador block.",
	"cap_drop":                         "The attribute capabilities lists all that a container has; [] is none.",
	"healthcheck":                      writeReady,
	"health_check":                     writeReady,
	"check":                            writeReady,
	"readiness_probe":                  writeReady,
	"liveness_probe":                   writeLive,
	"check_restart":                    writeLive,
	"startup_probe":                    writeStartup,
	"health_cmd":                       "Write: probe \"ready\" { exec = [\"...\"] }, or \"live\" for a restart when it fails.",
	"http_get":                         "Write: http = { port = 8080, path = \"/healthz\" }",
	"tcp_socket":                       "Write: tcp = { port = 8080 }",
	"test":                             "A probe with a command in the container: exec = [\"...\"].",
	"period_seconds":                   "Write: interval = \"10s\"",
	"period":                           "Write: interval = \"10s\"",
	"timeout_seconds":                  "Write: timeout = \"1s\"",
	"initial_delay_seconds":            "Write: initial_delay = \"10s\"",
	"start_period":                     "Write initial_delay = \"10s\", or give the container a second probe that waits for its start: probe \"startup\".",
	"failure_threshold":                "Write: failures = 3",
	"retries":                          "Write in a probe: failures = 3",
	"success_threshold":                "Write: successes = 1",
	"mem_limit":                        "Write: resources { memory = \"128MiB\" }",
	"mem":                              "Write: resources { memory = \"128MiB\" }",
	"memory":                           "Write: resources { memory = \"128MiB\" }",
	"limits":                           "Limits are in the resources block itself: resources { memory = \"128MiB\" }",
	"requests":                         "Nothing is reserved for a container. Its limits are in its resources block: memory = \"128MiB\".",
	"cpus":                             "Write: resources { cpu = 0.5 }",
	"cpu":                              "Write: resources { cpu = 0.5 }",
	"pids_limit":                       "Write: resources { pids = 64 }",
	"swap":                             writeSwap,
	"memswap_limit":                    writeSwap,
	"memory_swap":                      writeSwap,
	"blkio_weight":                     writeIOWeight,
	"storage_opt":                      writeDisk,
	"storage":                          writeDisk,
	"ephemeral_storage":                writeDisk,
	"ephemeral_disk":                   writeDisk,
	"disk_quota":                       writeDisk,
	"blkio_config":                     writeIOWeight,
	"io_weight":                        writeIOWeight,
	"restart_policy":                   "Write: restart { policy = \"always\" }",
	"stop_signal":                      "Write: stop { signal = \"SIGTERM\" }",
	"kill_signal":                      "Write: stop { signal = \"SIGTERM\" }",
	"stop_timeout":                     writeTimeout,
	"stop_grace_period":                writeTimeout,
	"kill_timeout":                     writeTimeout,
	"termination_grace_period_seconds": writeTimeout,
	"update_config":                    writeUpdate,
	"rollback_config":                  writeUpdate,
	"strategy":                         writeUpdate,
	"auto_revert":                      writeUpdate,
	"healthy_deadline":                 "Write: health_timeout = \"2m\"",
	"progress_deadline":                "Write: health_timeout = \"2m\"",
	"progress_deadline_seconds":        "Write: health_timeout = \"2m\"",
	"active_deadline_seconds":          writeDeadline,
	"active_deadline":                  writeDeadline,
	"runtime_max_sec":                  writeDeadline,
	"periodic":                         writeSchedule,
	"cronjob":                          writeSchedule,
	"on_calendar":                      writeSchedule,
	"time_zone":                        "Write in the schedule block: timezone = \"Europe/Berlin\"",
	"prohibit_overlap":                 "No two runs of a schedule go on at once: a run whose time comes while the one before goes on is skipped.",
	"concurrency_policy":               "No two runs of a schedule go on at once: a run whose time comes while the one before goes on is skipped.",
	"starting_deadline_seconds":        "Write in the schedule block: missed = \"run\" or \"skip\"",
	"persistent_timer":                 "Write in the schedule block: missed = \"run\"",
	"randomized_delay_sec":             "Write in the schedule block: jitter = \"5m\"",
	"config":                           "The settings of a task's driver are attributes of the container's own block.",
	"deploy":                           "A container's limits are in its resources block. How a group is updated is in its update block.",
	"dns":                              "DNS is set for the whole group. Let the ambassador answer the members: dns = \"ambassador\". Name the servers that the ambassador asks in the group's network block: dns { servers = [\"192.0.2.53\"] }.",
	"dns_servers":                      byResolver,
	"nameservers":                      byResolver,
	"extra_hosts":                      byHosts,
	"host_aliases":                     byHosts,
	"read_only_root_filesystem":        writeReadOnly,
	"read_only_rootfs":                 writeReadOnly,
	"readonly_rootfs":                  writeReadOnly,
	"readonly":                         writeReadOnly,
	"empty_dir":                        writeTmpfs,
	"tmpfs_options":                    writeTmpfs,
	"security_context":                 "Write user = \"1000\", read_only = true and capabilities = [...]. The rest is the same for every container, as the promise needs it.",
	"fs_group":                         "Write in the volume block: owner = \"1000:1000\"",
	"bandwidth":                        "Write in the ambassador block: rate { out = \"2Mbit\" }",
	"logging":                          writeOutput,
	"log_driver":                       writeOutput,
	"log_opt":                          writeOutput,
	"log_opts":                         writeOutput,
	"logs":                             writeOutput,
	"log_options":                      writeOutput,
	"log_config":                       writeOutput,
	"hostname":                         "Every container's host name is its group's name.",
}

const (
	writeHostPath   = `For a folder of the host, write: host_path = "/srv/data"`
	writePersistent = `For a volume that outlives its group, write: persistent = true`
	writeSize       = `Write: size = "50MiB"`
	writeOwner      = `Write: owner = "1000:1000"`
	tmpfsLabel      = `The block's label is the path: tmpfs "/path" { ... }.`
	mountsNoHost    = `The folder of the host is named in the volume's block: volume "NAME" { host_path = "/srv/data" }.`
)

// foreignIn are the hints by the block in which the name stands. They go before those of foreign.
var foreignIn = map[string]map[string]string{
	"volume": {
		"host": writeHostPath, "source": writeHostPath, "bind": writeHostPath, "path": writeHostPath, "src": writeHostPath,
		"external": writePersistent, "driver": writePersistent, "persistent_volume_claim": writePersistent,
		"tmpfs": `A volume is in memory by default. Set its size: size = "64MiB"`, "empty_dir": `Write: volume "NAME" { size = "64MiB" }`,
		"uid": writeOwner, "gid": writeOwner, "user": writeOwner, "permissions": `Write: mode = "0750"`,
		"read_only": "Each container's mount sets whether it may only read: mount \"NAME\" { read_only = true }.",
	},
	"mount": {
		"host": mountsNoHost, "source": mountsNoHost, "bind": mountsNoHost, "host_path": mountsNoHost, "src": mountsNoHost,
		"volume": "The block's label names the volume: mount \"NAME\" { ... }.",
	},
	"tmpfs": {
		"path": tmpfsLabel, "target": tmpfsLabel, "destination": tmpfsLabel, "dst": tmpfsLabel,
		"uid": writeOwner, "gid": writeOwner, "user": writeOwner,
		"permissions": `Write: mode = "0750"`, "size_limit": `Write: size = "64MiB"`,
	},
	"resources": {"mem": `Write: memory = "128MiB"`},
	"output": {
		"max_size": writeSize, "max_file": writeSize, "max_files": writeSize, "max_file_size": writeSize, "limit": writeSize,
		"driver":   `All output is kept in files. For systemd's journal as well, write: journal = true`,
		"journald": "Write: journal = true",
		"stderr":   "Write, for a file of its own for standard error: split = true",
	},
	"output_of": {
		"group":     "A sidecar is given the output of its own group alone. Write: output_of { path = \"/var/log/group\" }",
		"container": "The folder has the output of all containers of the group, a file for each.",
		"read_only": "The output is read-only always. Leave the line out.",
	},
	"probe": {
		"command": "Write: exec = [\"...\"]", "cmd": "Write: exec = [\"...\"]",
		"port": "The port is part of the test: tcp = { port = 8080 }.", "path": "Write: http = { port = 8080, path = \"/healthz\" }",
	},
}

// elsewhere returns the hint for a name of other systems' files in a block, or "".
func elsewhere(parent, name string) string {
	name = canonical(name)
	if instead, ok := foreignIn[parent][name]; ok {
		return instead
	}
	return foreign[name]
}
