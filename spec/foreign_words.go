package spec

const (
	writeVolume   = `Declare a volume in the group (volume "NAME" { size = "64MiB" }) and mount it: mount "NAME" { path = "/path" }.`
	writeReady    = `Write: probe "ready" { http = { port = 8080, path = "/healthz" } }`
	writeLive     = `Write: probe "live" { http = { port = 8080, path = "/healthz" } }`
	writeTimeout  = `Write: stop { timeout = "10s" }`
	oneOfRoles    = "A container is an app, a sidecar, an init or the ambassador."
	byResolver    = "The resolvers that the ambassador asks are in the group's network block: dns { servers = [\"192.0.2.53\"] }."
	oneHost       = "There is one host, this one, and nothing is moved. Leave the line out."
	noSearch      = "No container has search domains or resolver options. Write names in full. " + byResolver
	noCredentials = `Logins to registries belong to the host. Type: sallyport login REGISTRY`
	writeFile     = `Write: file "/path" { source = "NAME" }. Its contents can stand in the group file too: content = "...".`
	writeLimit    = `Nothing is reserved for a container, and none has shares of the processors. Write its limit: resources { cpu = 0.5 }`
	writeGroups   = `Write: groups = ["adm", "2000"]`
	noKeyless     = "Signatures without a key of their own (keyless) are not verified: that takes the roots of a public service, renewed over the network, and a host of ours may be offline. Sign with a key (cosign sign --key cosign.key IMAGE) and write: key = \"/etc/sallyport/keys/vendor.pub\""
	noNotify      = "A container is ready when its ready probe succeeds."
)

// foreignWords are the hints for every place in a group. A word that becomes an attribute or a
// block of ours leaves its row.
var foreignWords = []translation{
	// What a group has.
	{"container containers service services", oneOfRoles},
	{"task tasks spec", oneOfRoles + ` Write, in the group: app "NAME" { image = "..." }`},
	{"init_containers init_container", `Write: init "NAME" { image = "..." }`},
	{"ephemeral_containers", "For one more process in a container, type: sallyport exec GROUP.CONTAINER -- COMMAND"},
	{"proxy gateway", "The proxy of a group is its ambassador block."},
	{"config", "The settings of a task's driver are attributes of the container's own block."},
	{"deploy", "A container's limits are in its resources block. How a group is updated is in its update block."},
	{"driver kind driver_opts os windows_options credential_spec", "There is one kind of container, a Linux one under runc, so there is nothing to choose. Leave the line out."},
	{"container_name pod_name service_name pod", `The label of the block is the name: app "NAME" { ... }`},
	{"label annotation annotations meta metadata tag tags label_file", "Labels are those of the group: labels = { team = \"edge\" }"},
	{"replicas count scale scaling instances parallelism completions", "A group runs once on its host. For several, write in the group block: for_each = [\"a\", \"b\"]"},
	{"foreach each with_items loop range matrix", `One block for each key: for_each = ["a", "b"]. It has each.key and each.value inside.`},
	{"dynamic", `Write for_each = { "a" = 8080 } in the block itself, and each.key and each.value in its attributes.`},
	{"profiles develop models provider", "All of a group's containers run. Give what you start by hand a group of its own: a job, for sallyport run FILE, or one that you stop with sallyport stop GROUP."},
	{"extends include", "No file is read into another one. Use locals for what several containers have in common."},
	{"leader", "A group whose apps have ended for good is completed, and its sidecars and its ambassador are then stopped."},
	{"exit_policy", `A group whose apps end is a job. Write, for each app: restart { policy = "on-failure" }`},
	{"essential", `The effect of its failure on the group is on_failure: "restart", "stop-group" or "ignore".`},

	// One host.
	{"affinity constraint spread placement node_selector node_name node_pool tolerations topology_spread_constraints datacenters region regions scheduler_name scheduling_gates overhead", oneHost},
	{"migrate reschedule disconnect multiregion endpoint_mode max_client_disconnect stop_after_client_disconnect prevent_reschedule_on_lost", oneHost},
	{"priority priority_class_name preemption_policy all_at_once namespace", oneHost},
	{"service_account service_account_name automount_service_account_token identity vault consul", `A group has no account with a server. Give its programs what they log in with: secret "NAME" {}, and in the group block secret "NAME" { file = "/etc/keys/NAME" }`},
	{"enable_service_links readiness_gates csi_plugin selector", oneHost},
	{"dispatch_payload parameterized", "A group file is a template of jobs: sallyport run FILE -- ARGS. With -i it reads standard input."},

	// Images.
	{"build dockerfile", `Images are built elsewhere. Name one in a registry, or an archive of it on this host: image = "docker-archive:web.tar".`},
	{"pull_policy image_pull_policy force_pull", "Write: pull = \"missing\", \"always\" or \"never\""},
	{"auto_update", "No image is renewed by itself. sallyport pull GROUP asks what the tags of a group mean by now, and uses that."},
	{"image_pull_secrets auth auth_soft_fail registry_auth credentials", noCredentials},
	{"signature_policy docker_content_trust cluster_image_policy verify_images sigstore_signed signature_verification content_trust verify_signature trust cosign sigstore verification_policy image_policy signature", `Write: signed_by { key = "/etc/sallyport/keys/vendor.pub" }`},
	{"image_pull_timeout retry retry_delay", "How often and how long a pull is tried is not a group's to set. Leave the line out."},
	{"platform", "The image of this host's platform is taken. Leave the line out."},
	{"load", `Write: image = "docker-archive:web.tar"`},
	{"rootfs", `A container starts from an image, not from a folder. Pack the folder into an archive: image = "oci-archive:web.tar".`},
	{"artifact artifacts", `Nothing is fetched for a container. Place a file (file "/path" { source = "NAME" }), or fetch it in an init, through the ambassador.`},

	// The program.
	{"environment", `Write: env = { NAME = "value" }`},
	{"env_files environment_file env_from", `Write: env_file = ["web.env"]`},
	{"environment_host http_proxy", `Nothing of the host's environment reaches a container. Write: env = { NAME = "value" }`},
	{"value_from", `An entry is a text: env = { NAME = "value" }. Values from outside come from a variable: variable "NAME" {}.`},
	{"entrypoint", `Write: command = ["..."]`},
	{"cmd", `Write: args = ["..."], or command = ["..."] to replace the image's entrypoint as well.`},
	{"working_dir working_folder work_dir", `Write: workdir = "/path"`},
	{"run_as_user run_as_group run_as_non_root", `Write: user = "1000:1000"`},
	{"group_add supplemental_groups supplementary_groups supplemental_groups_policy", writeGroups},
	{"stdin stdin_open stdin_once tty interactive attach", "A container has no terminal, and only a job has input: sallyport run -i FILE. For a shell in a container, type: sallyport exec -it GROUP.CONTAINER -- sh"},
	{"run_init tini reaper init_process_enabled", initAsReaper},
	{"tz local_time", writeTZ},
	{"hostname host_name", "Every container's host name is its group's name."},
	{"domainname domain_name subdomain set_hostname_as_fqdn hostname_override", "Every container's host name is its group's name, without a domain."},
	{"security_context", "Write user = \"1000\", read_only = true and capabilities = [...]. The rest is the same for every container, as the promise needs it."},
	{"cap_drop drop_capability", "The attribute capabilities lists all that a container has; [] is none."},
	{"read_only_root_filesystem read_only_rootfs readonly_rootfs readonly", `Write: read_only = true`},
	{"podman_args global_args containers_conf_module driver_config", "A container has no settings but those of its block. Leave the line out."},

	// Ports and names.
	{"ports port publish_port", "The ambassador is the only way in: give it a publish block."},
	{"expose expose_host_port", "Containers of a group reach each other on localhost without it; the world reaches the ambassador, through a publish block."},
	{"connect sidecar_service upstreams destination_name local_bind_port local_bind_address", `Write, in the ambassador: upstream "NAME" { listen = 9001 }. Where it leads is in the ambassador's own configuration.`},
	{"mac_address ip ip6 ipv4_address ipv6_address network_alias network_aliases address_mode", "A group's addresses are Sallyport's to choose. Members reach each other on localhost, and the world reaches the ambassador through its publish blocks."},
	{"dns", "DNS is set for the whole group. Let the ambassador answer the members: dns = \"ambassador\". Name the servers that the ambassador asks in the group's network block: dns { servers = [\"192.0.2.53\"] }."},
	{"dns_servers nameservers", byResolver},
	{"dns_search dns_search_domains searches dns_opt dns_option dns_options dns_config dns_policy", noSearch},
	{"extra_hosts host_aliases add_host", `Members find an upstream by name: upstream "NAME" { hosts = ["payments.example.com"] }.`},
	{"bandwidth", `Write in the ambassador block: rate { out = "2Mbit" }`},

	// Files and volumes.
	{"volumes binds mounts volume_mounts volume_mount", writeVolume},
	{"volume_driver", writeVolume + " A volume of another driver is mounted on the host first: volume \"NAME\" { host_path = \"/srv/data\" }."},
	{"empty_dir tmpfs_options", `Write, for one container: tmpfs "/path" { size = "64MiB" }. For several, declare a volume in the group and mount it.`},
	{"read_only_tmpfs volatile_tmp", `Nothing is mounted by itself. Write, for each path: tmpfs "/tmp" { size = "64MiB" }`},
	{"configs config_map config_maps", writeFile},
	{"secrets", writeSecret},
	{"template templates", `A file's contents may have references in them: file "/path" { content = "listen ${var.port}" }. For a file that is to change while the program runs, add: reload = "SIGHUP".`},
	{"fs_group", `Write in the volume block: owner = "1000:1000"`},
	{"fs_group_change_policy", `The owner of a volume is set before anything mounts it. Write in the volume block: owner = "1000:1000"`},
	{"change_mode change_signal reload reload_signal reload_cmd exec_reload", `Write, in the file's block: reload = "SIGHUP"`},

	// Order, probes, restarts, the end.
	{"depends_on requires before wants binds_to", `The order is fixed: the ambassador, the inits one by one, the sidecars, the apps, each stage when the one before is ready. Among sidecars, and among apps: after = ["NAME"].`},
	{"lifecycle", "A container that runs to its end before the others is an init block, and one that helps them a sidecar block. The stop block sets how a container is asked to end, and what it runs before: pre_stop = [\"...\"]."},
	{"action", "For one more process in a container, type: sallyport exec GROUP.CONTAINER -- COMMAND"},
	{"post_start poststart pre_start prestart exec_start_pre exec_start_post", "Nothing is run beside a container's program at its start. What comes before the apps is an init block, and what goes on beside them is a sidecar block."},
	{"pre_stop prestop exec_stop exec_stop_pre", `Write: stop { pre_stop = ["/bin/program", "argument"] }`},
	{"exec_stop_post", `Nothing is run after a container's end. Before it: stop { pre_stop = ["/bin/program", "argument"] }`},
	{"shutdown_delay", "Containers stop in order: the apps, the sidecars, the ambassador. Nothing waits before that. How long each may take: stop { timeout = \"10s\" }"},
	{"wanted_by start_with_pod auto_start", "A group that is not stopped runs again after each boot. Leave the line out."},
	{"notify", noNotify + " " + writeReady},
	{"healthcheck health_check healthchecks check checks readiness_probe", writeReady},
	{"liveness_probe check_restart health_on_failure", writeLive},
	{"startup_probe health_startup_cmd", `Write: probe "startup" { http = { port = 8080, path = "/healthz" } }`},
	{"health_cmd", `Write: probe "ready" { exec = ["..."] }, or "live" for a restart when it fails.`},
	{"health_interval health_retries health_start_period", writeReady + `. Beside http: interval = "10s", failures = 3, start_period = "10s", each on a line of its own.`},
	{"health_startup_interval health_startup_retries health_startup_success health_startup_timeout", `Write: probe "startup" { tcp = { port = 8080 } }. Beside tcp: interval = "1s", failures = 60, timeout = "1s", each on a line of its own.`},
	{"health_log_destination health_max_log_count health_max_log_size", "What a probe found is shown by sallyport status and events. Leave the line out."},
	{"http_get", `Write: http = { port = 8080, path = "/healthz" }`},
	{"tcp_socket", `Write: tcp = { port = 8080 }`},
	{"test", `A probe with a command in the container: exec = ["..."].`},
	{"period_seconds period", `Write: interval = "10s"`},
	{"timeout_seconds", `Write: timeout = "1s"`},
	{"initial_delay_seconds", `Write: initial_delay = "10s"`},
	{"start_period start_interval", `Write in a probe: start_period = "30s"`},
	{"failure_threshold", `Write: failures = 3`},
	{"retries", `Write in a probe: failures = 3`},
	{"success_threshold", `Write: successes = 1`},
	{"headers header http_headers", `A probe's request can have headers: probe "ready" { http = { port = 8080, headers = { NAME = "value" } } }`},
	{"restart_policy restart_policy_rules backoff_limit restart_sec", `Write: restart { policy = "always" }. The pauses between restarts grow: delay = "1s" is the first one, and max_delay = "1m" the longest.`},
	{"stop_signal kill_signal", `Write: stop { signal = "SIGTERM" }`},
	{"stop_timeout stop_grace_period kill_timeout termination_grace_period_seconds timeout_stop_sec", writeTimeout},
	{"timeout_start_sec", `Write in the group: update { health_timeout = "2m" }`},
	{"termination_message_path termination_message_policy", "The last line that a container printed is shown by sallyport status when it has failed. Leave the line out."},

	// Updates and jobs.
	{"update_config rollback_config strategy auto_revert", `Write in the group: update { auto_revert = true }`},
	{"healthy_deadline progress_deadline progress_deadline_seconds min_ready_seconds", `Write in the update block: health_timeout = "2m"`},
	{"revision_history_limit", "The last four generations are kept: sallyport history GROUP. Leave the line out."},
	{"active_deadline_seconds active_deadline runtime_max_sec", `Write in the group block, for all of a job: timeout = "30m"`},
	{"periodic cronjob on_calendar job_template", `Write in the group: schedule { cron = "30 2 * * *" }`},
	{"time_zone", `Write in the schedule block: timezone = "Europe/Berlin"`},
	{"prohibit_overlap concurrency_policy", "No two runs of a schedule go on at once: a run whose time comes while the one before goes on is skipped."},
	{"starting_deadline_seconds", `Write in the schedule block: missed = "run" or "skip"`},
	{"persistent persistent_timer", `Write in the schedule block: missed = "run"`},
	{"randomized_delay_sec", `Write in the schedule block: jitter = "5m"`},
	{"suspend", "A group that is stopped stays down, over boots too: sallyport stop GROUP"},
	{"ttl_seconds_after_finished successful_jobs_history_limit failed_jobs_history_limit", "A run of a schedule, or of sallyport run, is removed when it has ended. Any other group stays until sallyport rm GROUP."},

	// Limits.
	{"mem_limit mem memory memory_hard_limit", `Write: resources { memory = "128MiB" }`},
	{"limits", `Limits are in the resources block itself: resources { memory = "128MiB" }`},
	{"requests reservations mem_reservation memory_reservation memory_max", `Nothing is reserved for a container. Its limits are in its resources block: memory = "128MiB".`},
	{"cpus cpu", `Write: resources { cpu = 0.5 }`},
	{"cpu_count cpu_percent cpu_shares cpu_period cpu_quota cpu_cfs_period cpu_hard_limit cpu_rt_period cpu_rt_runtime", writeLimit},
	{"cpuset cpuset_cpus allowed_cpus cpus_allowed cores numa", `Write: resources { cpuset = "0-3" }`},
	{"cpuset_mems", `The memory of all nodes can be used. The processors are in its resources: cpuset = "0-3"`},
	{"pids_limit", `Write: resources { pids = 64 }`},
	{"swap memswap_limit memory_swap", `Write, beside the memory: resources { swap = "64MiB" }`},
	{"mem_swappiness", `How much of a container may be swapped out is a size: resources { swap = "64MiB" }, beside the memory.`},
	{"oom_kill_disable oom_score_adj", `The kernel looks for what to kill in the container whose memory has run out, so give each a limit: resources { memory = "128MiB" }`},
	{"shm shared_memory", `Write: shm_size = "256MiB". For memory that containers share, declare a volume in the group and mount it at /dev/shm.`},
	{"ulimit rlimits limit_nofile default_ulimits", `Write: ulimits { nofile = 65536 }`},
	{"storage_opt storage ephemeral_storage ephemeral_disk disk_quota", `For what a container writes to its root file system, write: resources { disk = "1GiB" }. For a persistent volume, write its size.`},
	{"blkio_weight blkio_config io_weight", `Write: resources { io_weight = 100 }`},
	{"resize_policy", "A container with other resources is replaced. Leave the line out."},
	{"devices add_device host_devices", writeDevice},
	{"gpus device_requests resource_claims claims generic_resources", writeCDI},
	{"cdi_devices cdi_device", writeCDI},

	// Output.
	{"logging log_driver log_opt log_opts logs log_options log_config", `The size of what is kept of its output: output { size = "50MiB" }. To ship it elsewhere, give a sidecar an output_of block.`},
}

const (
	initAsReaper = "Write: init = true"
	writeDevice  = `Write, for each device: device "/dev/ttyUSB0" { access = "rw" }`
	writeCDI     = `Name the devices of the host's CDI specs: cdi = ["nvidia.com/gpu=all"]. For a GPU without one: device "/dev/dri/renderD128" { access = "rw" }`
	writeTZ      = `Write: timezone = "Europe/Berlin"`
)
