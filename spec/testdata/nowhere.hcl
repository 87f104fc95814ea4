# A database answers its callers. Neither it nor its ambassador calls anyone.
group "database" {
  app "postgres" { image = "registry.example/postgres:17" }
  ambassador "proxy" {
    image = "registry.example/haproxy:3.0"
    allow = []
    publish "postgres" {
      host = 5432
      port = 15432
    }
  }
}
