cgroup = "/"
output { removed = "400d" }
