package spec

const (
	writeHostPath   = `For a folder of the host, write: host_path = "/srv/data"`
	writePersistent = `For a volume that outlives its group, write: persistent = true`
	writeSize       = `Write: size = "50MiB"`
	writeOwner      = `Write: owner = "1000:1000"`
	writeMode       = `Write: mode = "0750"`
	writeSecret     = `Write in the group block: secret "NAME" { file = "/etc/keys/NAME" }, and in the container: secret "NAME" {}. The container has it at /run/secrets/NAME.`
	tmpfsLabel      = `The block's label is the path: tmpfs "/path" { ... }.`
	threeVolumes    = `A volume is in memory. To keep it on disk, write: persistent = true. ` + writeHostPath
	mountsNoHost    = `The folder of the host is named in the volume's block: volume "NAME" { host_path = "/srv/data" }.`
	wholeVolume     = "The whole volume is mounted. Declare one volume for each part."
	mountedOnHost   = `What is not a folder of this host is mounted on it first, and then named: host_path = "/mnt/data"`
	groupInFile     = `Write group "NAME" { ... }, with an app, sidecars and an ambassador in it. docs/coming-from.md has the words.`
	oneAfterOther   = "Containers that changed are replaced, and the others run on. Leave the line out."
	givenUp         = "A generation is given up at the third end of one container, before its time. To allow more, write: max_ends = 5"
	writeAttempts   = `Write: attempts = 5. When they are spent, the container stays down.`
	writeWindow     = `Write: window = "10m". A run of that length ends a row of short ones.`
	onePort         = "A publish block leads one port of the host to one of the ambassador: host = 8443 and port = 443."
	listensThere    = `Write the port on which the ambassador listens for it: listen = 9001. Where it leads is in the ambassador's own configuration.`
	inHTTP          = `It is part of the test: http = { port = 8080, https = true, method = "HEAD", headers = { NAME = "value" } }.`
)

// anyContainer is the place of the hints for app, sidecar, init and ambassador blocks.
const anyContainer = "container"

// foreignPlaces are the hints by the block in which a name stands.
var foreignPlaces = map[string][]translation{
	fileKind: {
		{"job jobs", groupInFile + " What runs at set times, or to its end, is a group as well."},
		{"service services container containers pod task version api_version spec", groupInFile},
		{"name", `The label of the group block is the name: group "NAME" { ... }.`},
		{"volumes networks secrets configs", "Volumes and all else are in the group's block. docs/coming-from.md has the words."},
		{"include import module", "No file is read into another one. Several files are applied together: sallyport apply FILE FILE."},
		{"provider resource data output terraform", `A group file has no resources but its groups. Write: group "NAME" { ... }`},
	},
	"group": {
		{"restart", `Each container has its own: restart { policy = "always" }`},
		{"publish upstream allow", "It belongs in the ambassador's block, the group's one door."},
		{"type", "What runs to its end is a job, and what runs at set times has a schedule block. A group has no type, so leave the line out."},
		{"paused", "A group that is stopped stays down, over boots too: sallyport stop GROUP"},
	},
	anyContainer: {
		{"schedule", `The whole group has a schedule, in a block of its own: schedule { cron = "30 2 * * *" }`},
		{"timeout", `How long a job may take is set for its group: timeout = "30m". How long a container may take to end: stop { timeout = "10s" }. A probe has one too.`},
		{"health_timeout", `Write in a probe block: timeout = "1s"`},
		{"exec", `Write: args = ["..."], or command = ["..."] to replace the image's entrypoint as well.`},
		{"group", `Write the group behind the user: user = "1000:1000"`},
		{"labels", "Labels are those of the group: labels = { team = \"edge\" }"},
		{"name", `The label of the block is the name: app "NAME" { ... }`},
		{"type", oneOfRoles + " Its block has the word: app \"NAME\" { ... }"},
		{"update", "A group is updated as a whole. The update block is the group's: update { auto_revert = true }"},
		{"size", `A volume or a tmpfs has a size. For what the container writes elsewhere: resources { disk = "1GiB" }`},
		{"servers", byResolver},
		{"volume", writeVolume},
	},
	"signed_by": {
		{"keyless issuer subject certificate certificate_identity certificate_oidc_issuer identity_regexp fulcio ca roots oidc", noKeyless},
		{"rekor tlog transparency_log ctlog timestamp tsa", "No transparency log is asked: the key alone counts. Leave the line out."},
		{"keys key_path public_key key_data kms", `Write: key = "/etc/sallyport/keys/vendor.pub". Several blocks name several keys, and one that has signed suffices.`},
		{"repository signed_identity docker_reference", `Write the repository that the signature was made for: identity = "registry.example/vendor/app"`},
		{"signature sig file", `Write, for an image in a file: bundle = "image.sigstore.json"`},
	},
	"volume": {
		{"host source bind path src", writeHostPath},
		{"external driver persistent_volume_claim volume_claim_template sticky", writePersistent},
		{"type", threeVolumes},
		{"driver_opts options mount_options nfs iscsi csi cephfs glusterfs access_mode access_modes attachment_mode", mountedOnHost},
		{"config_map downward_api projected", writeFile},
		{"secret", writeSecret},
		{"tmpfs medium", `A volume is in memory by default. Set its size: size = "64MiB"`},
		{"empty_dir", `Write: volume "NAME" { size = "64MiB" }`},
		{"size_limit storage capacity", `Write: size = "64MiB"`},
		{"uid gid user", writeOwner},
		{"permissions perms", writeMode},
		{"name", `The label of the block is the name: volume "NAME" { ... }`},
		{"labels", "A volume has no labels. Those of the group are in its block."},
		{"image", "A volume is empty at first. Fill it in an init that mounts it."},
		{"read_only", `Each container's mount sets whether it may only read: mount "NAME" { read_only = true }.`},
	},
	"mount": {
		{"host source bind host_path src", mountsNoHost},
		{"volume name", `The block's label names the volume: mount "NAME" { ... }.`},
		{"type", `A mount is of a volume of the group, and the volume's block sets what it is. For memory of the container's own: tmpfs "/path" { size = "64MiB" }`},
		{"mount_path destination target dst", `Write: path = "/path"`},
		{"sub_path subpath sub_path_expr", wholeVolume},
		{"propagation propagation_mode mount_propagation bind_options recursive_read_only consistency selinux relabel create_host_path", "All volumes are mounted in the same way, and nothing mounted later comes through. Leave the line out."},
		{"nocopy copy fill copy_up", "An empty volume gets what the image has at the path with: from_image = true"},
		{"size mode owner uid gid", "A volume's size, owner and mode are in its own block."},
	},
	"tmpfs": {
		{"path target destination dst", tmpfsLabel},
		{"uid gid user", writeOwner},
		{"permissions perms", writeMode},
		{"size_limit", `Write: size = "64MiB"`},
		{"noexec", "Programs in it can't be started, unless you write: exec = true"},
		{"read_only", "A tmpfs is empty at first, and one that is read-only would stay so. Leave the line out."},
	},
	"file": {
		{"path target destination dst", `The block's label is the path: file "/path" { ... }.`},
		{"data inline template", `Write: content = "..."`},
		{"file src host_path", `Write: source = "NAME"`},
		{"environment", `Write: content = var.NAME, and declare the variable: variable "NAME" {}.`},
		{"read_only", "A file is read-only in the container always. Leave the line out."},
		{"uid gid user group", `Write: owner = "1000:1000"`},
		{"perms permissions", `Write: mode = "0444"`},
		{"external name", `A file's contents come from this host: source = "NAME"`},
	},
	"resources": {
		{"mem mem_limit memory_hard_limit", `Write: memory = "128MiB"`},
		{"cpus cores cpu_limit", `Write: cpu = 0.5`},
		{"pids_limit", `Write: pids = 64`},
		{"network", `Write in the ambassador block: rate { out = "2Mbit" }`},
		{"memswap_limit memory_swap", `Write: swap = "64MiB"`},
		{"io blkio_weight", `Write: io_weight = 100`},
		{"storage ephemeral_storage", `Write: disk = "1GiB"`},
		{"device devices", "Devices are those of the container. " + writeDevice + ". " + writeCDI},
	},
	"device": {
		{"path source src host host_path path_on_host", `The block's label is the path on the host: device "/dev/ttyUSB0" { ... }.`},
		{"target destination dst container_path path_in_container", `Write: to = "/dev/modem0"`},
		{"permissions cgroup_permissions mode read_only", `Write: access = "r", "w" or "rw". The node has the owner and the mode that it has on the host.`},
		{"owner user uid gid group groups", `The node has the owner, the group and the mode that it has on the host. For a user who is not root, write in the container's block: groups = ["20"]`},
		{"count device_ids driver capabilities options vendor type name", "A device is named by its path: device \"/dev/dri/renderD128\" { ... }"},
	},
	"restart": {
		{"condition name mode restart", `Write: policy = "always", "on-failure" or "never"`},
		{"max_attempts max_retries maximum_retry_count retries max_restarts limit start_limit_burst backoff_limit", writeAttempts},
		{"interval start_limit_interval_sec", writeWindow},
		{"restart_sec", `Write: delay = "5s"`},
		{"backoff", `Write: delay = "1s", max_delay = "1m"`},
		{"max_interval restart_max_delay_sec", `Write: max_delay = "5m"`},
		{"render_templates", "A container that is started again has its files as they were applied. Leave the line out."},
	},
	"secret": {
		{"source path", `In the group block, write: file = "/etc/keys/NAME"`},
		{"content value data string_data environment env", `A value in a group file is no secret. Write it to a file that root alone can read, and in the group block: file = "/etc/keys/NAME"`},
		{"uid gid user group", `In the container's block, write: owner = "1000:1000"`},
		{"target mount_path", `A container has it at /run/secrets/NAME. For another path, write: file "/path" { content = secret.NAME }`},
		{"change_mode", `In the container's block, write: on_change = "none", or reload = "SIGHUP"`},
		{"signal change_signal", `In the container's block, write: reload = "SIGHUP"`},
		{"exec program", `In the group block, write: command = ["/usr/bin/program", "argument"]`},
		{"type driver external name secret_name items optional template_driver", "The block's label is the name, and file, credential or command is where the value comes from. Leave the line out."},
	},
	"stop": {
		{"grace grace_period stop_grace_period stop_timeout kill_timeout seconds", `Write: timeout = "10s"`},
		{"stop_signal kill_signal", `Write: signal = "SIGTERM"`},
		{"command exec", `Write: pre_stop = ["/bin/program", "argument"]`},
	},
	"output": {
		{"max_size max_file max_files max_file_size limit", writeSize},
		{"driver type", `All output is kept in files. For systemd's journal as well, write: journal = true`},
		{"options driver_opts config", writeSize + ". To ship output elsewhere, give a sidecar an output_of block."},
		{"disabled", "All output is kept, within its size. Leave the line out."},
		{"journald", "Write: journal = true"},
		{"stderr", "Write, for a file of its own for standard error: split = true"},
	},
	"output_of": {
		{"group", `A sidecar is given the output of its own group alone. Write: output_of { path = "/var/log/group" }`},
		{"container", "The folder has the output of all containers of the group, a file for each."},
		{"read_only", "The output is read-only always. Leave the line out."},
	},
	"probe": {
		{"command cmd", `Write: exec = ["..."]`},
		{"port", "The port is part of the test: tcp = { port = 8080 }."},
		{"path url", `Write: http = { port = 8080, path = "/healthz" }`},
		{"headers header http_headers host scheme method https", inHTTP},
		{"protocol tls", `Write: http = { port = 8443, https = true }`},
		{"body", "A probe sends no body."},
		{"type", "The test is the attribute: http, tcp, grpc, exec or image. The label is what the probe decides: \"startup\", \"ready\" or \"live\"."},
		{"grpc_service service", `Write: grpc = { port = 9090, service = "NAME" }`},
		{"failures_before_critical", `Write: failures = 3`},
		{"success_before_passing", `Write: successes = 1`},
		{"disable", "A container without a probe block has no probe, also if its image has one. Leave the block out. The image's own is image = true."},
		{"initial_status on_update expose", "A container is ready when its ready probe has succeeded, and not before. Leave the line out."},
	},
	"publish": {
		{"published host_port static", "Write: host = 8443"},
		{"target container_port to guest_port target_port", "Write: port = 443"},
		{"host_ip host_address ip bind listen", `Write: address = "192.0.2.1"`},
		{"proto", `Write: protocol = "udp"`},
		{"ports", onePort},
		{"mode name app_protocol", onePort + " The label is its name."},
	},
	"upstream": {
		{"port local_bind_port bind", "Write: listen = 9001"},
		{"address target url host server destination destination_name", listensThere},
		{"local_bind_address", "Members reach it at 127.0.0.1. Write: listen = 9001"},
	},
	"update": {
		{"parallelism max_parallel order stagger max_surge max_unavailable rolling_update type canary auto_promote", oneAfterOther},
		{"failure_action max_failure_ratio", "Write: auto_revert = true"},
		{"monitor delay min_healthy_time min_ready_seconds", `How long a generation has until it is ready: health_timeout = "2m". It counts when it has stayed ready for two seconds.`},
		{"health_check", "A generation is judged by the ready probes of its containers. " + writeReady},
		{"timeout deadline", `Write: health_timeout = "2m"`},
		{"attempts retries", givenUp},
	},
	"schedule": {
		{"schedule crons time times on_calendar", `Write: cron = "30 2 * * *"`},
		{"tz", `Write: timezone = "Europe/Berlin"`},
		{"enabled", "A group that is stopped stays down, over boots too: sallyport stop GROUP"},
		{"timeout", `Write in the group block: timeout = "30m"`},
		{"persistent", `Write: missed = "run"`},
	},
	"network": {
		{"port", "The ambassador is the only way in: give it a publish block."},
		{"hostname", "Every container's host name is its group's name."},
		{"internal", "Only the ambassador leaves a group. If it calls nowhere either, write in its block: allow = []"},
		{"prefix subnet ipam enable_ipv6 attachable cni", "A group's addresses are Sallyport's to choose. Leave the line out."},
	},
	"dns": {
		{"search searches domain domains options", "No container has search domains or resolver options. Write names in full."},
		{"nameservers server", `Write: servers = ["192.0.2.53"]`},
	},
}
