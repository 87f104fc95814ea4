job "g" {}
group "g" {
  egress = "none"
  affinity = "v"
  constraint = "v"
  consul = "v"
  count = "v"
  disconnect = "v"
  ephemeral_disk = "v"
  max_client_disconnect = "v"
  meta = "v"
  migrate = "v"
  prevent_reschedule_on_lost = "v"
  reschedule = "v"
  scaling = "v"
  service = "v"
  shutdown_delay = "v"
  spread = "v"
  stop_after_client_disconnect = "v"
  task = "v"
  vault = "v"
  all_at_once = "v"
  datacenters = "v"
  multiregion = "v"
  namespace = "v"
  node_pool = "v"
  parameterized = "v"
  periodic = "v"
  priority = "v"
  region = "v"
  type = "v"
  connect = "v"
  sidecar_service = "v"
  upstreams = "v"
  destination_name = "v"
  local_bind_port = "v"
  check = "v"
  check_restart = "v"
  address_mode = "v"
  timeout = "v"
  headers = "v"
  app "a" {
    image = "x"
    action = "v"
    affinity = "v"
    artifact = "v"
    config = "v"
    constraint = "v"
    consul = "v"
    csi_plugin = "v"
    dispatch_payload = "v"
    driver = "v"
    identity = "v"
    kill_signal = "v"
    kill_timeout = "v"
    kind = "v"
    leader = "v"
    lifecycle = "v"
    logs = "v"
    meta = "v"
    scaling = "v"
    schedule = "v"
    service = "v"
    shutdown_delay = "v"
    template = "v"
    vault = "v"
    volume_mount = "v"
    count = "v"
    timeout = "v"
    headers = "v"
    local_bind_port = "v"
  }
  sidecar "docker" {
    image = "x"
    auth = "v"
    auth_soft_fail = "v"
    cap_add = "v"
    cap_drop = "v"
    cgroupns = "v"
    cpu_hard_limit = "v"
    cpu_cfs_period = "v"
    devices = "v"
    dns_servers = "v"
    dns_options = "v"
    dns_search_domains = "v"
    entrypoint = "v"
    extra_hosts = "v"
    force_pull = "v"
    group_add = "v"
    healthchecks = "v"
    hostname = "v"
    image_pull_timeout = "v"
    init = "v"
    interactive = "v"
    ipc_mode = "v"
    ipv4_address = "v"
    ipv6_address = "v"
    load = "v"
    logging = "v"
    mac_address = "v"
    memory_hard_limit = "v"
    mounts = "v"
    network_aliases = "v"
    network_mode = "v"
    oom_score_adj = "v"
    pid_mode = "v"
    pids_limit = "v"
    ports = "v"
    privileged = "v"
    readonly_rootfs = "v"
    runtime = "v"
    security_opt = "v"
    shm_size = "v"
    storage_opt = "v"
    sysctl = "v"
    ulimit = "v"
    uts_mode = "v"
    userns_mode = "v"
    volumes = "v"
    volume_driver = "v"
    work_dir = "v"
  }
  sidecar "blocks" {
    image = "x"
    restart {
      attempts = 3
      delay    = "15s"
      interval = "30m"
      mode     = "fail"
    }
    resources {
      cores      = 2
      memory_max = 512
      network {}
    }
    config {
      image = "x"
      ports = ["http"]
    }
    template {
      data        = "x"
      destination = "local/x"
    }
    probe "ready" {
      type    = "http"
      path    = "/"
      headers = {}
    }
  }
  network {
    mode = "bridge"
    port "http" { to = 8080 }
  }
  update {
    max_parallel     = 1
    canary           = 1
    min_healthy_time = "10s"
    healthy_deadline = "2m"
  }
  volume "data" {
    type        = "host"
    source      = "data"
    access_mode = "single-node-writer"
  }
}
