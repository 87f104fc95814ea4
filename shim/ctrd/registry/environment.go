package registry

import (
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/shim/host"
)

// Environment returns what this process' environment has for asking registries.
func Environment() host.RegistryEnvironment {
	e := host.RegistryEnvironment{Path: os.Getenv("PATH"), NoProxy: firstSet("NO_PROXY", "no_proxy")}
	for _, name := range []string{"HTTPS_PROXY", "HTTP_PROXY"} {
		if value := firstSet(name, strings.ToLower(name)); value != "" {
			e.Proxies = append(e.Proxies, host.RegistryProxy{Variable: name, Host: proxyHost(value)})
		}
	}
	return e
}

// firstSet returns the first of the variables that is not empty (net/http, ProxyFromEnvironment).
func firstSet(names ...string) string {
	for _, name := range names {
		if value := os.Getenv(name); value != "" {
			return value
		}
	}
	return ""
}

// proxyHost returns the host in a proxy's address, without the user and the password, or "" if it
// is none. As for net/http, an address without a scheme is one of http.
func proxyHost(address string) string {
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" || !slices.Contains([]string{"http", "https", "socks5", "socks5h"}, u.Scheme) {
		return ""
	}
	return u.Host
}
