group "g" {
  egress = "none"
  app "a" {
    image = "x"
    capabilities = ["NET_RAW", "cap_net_admin", "SYS_ADMIN", "SYS_PTRACE", "SYS_MODULE", "BPF", "PERFMON", "MKNOD", "SYS_RAWIO", "DAC_READ_SEARCH", "SYS_BOOT", "SYS_TIME", "SYSLOG", "LEASE", "CHWON", "CHOWN", "ALL"]
  }
}
