package hosttest

// Operations returns the names of all that a host does for a group of Containers, so that each can fail.
func Operations() []string {
	names := []string{
		"seal", "admit", "connect", "disconnect", "limit", "mount logs", "unmount logs", "image a:1", "image b:1",
		"observe network", "observe bounds", "observe volumes", "observe containers", "list networks",
	}
	for _, verb := range []string{"create", "start", "stop", "remove"} {
		for _, name := range Containers {
			names = append(names, verb+" "+name)
		}
	}
	return names
}

// Containers are the names of the containers that groups in random walks have.
var Containers = []string{"proxy", "fetch", "migrate", "shipper", "store", "api", "web"}
