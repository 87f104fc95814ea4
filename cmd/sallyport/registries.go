package main

import (
	"github.com/sallyport/sallyport/shim/config"
	"github.com/sallyport/sallyport/shim/ctrd/registry"
)

// registryFlags are how the daemon reaches registries of images.
type registryFlags struct {
	RegistriesDockerConfig  string `default:"/root/.docker/config.json" placeholder:"FILE" env:"SALLYPORT_REGISTRIES_DOCKER_CONFIG" help:"Docker's configuration, whose logins and credential helpers are used too, or none (default /root/.docker/config.json)."`
	RegistriesHosts         string `default:"/etc/containerd/certs.d" placeholder:"DIR" env:"SALLYPORT_REGISTRIES_HOSTS" help:"Folder with the mirrors and certificates of each registry, in containerd's layout, or none (default /etc/containerd/certs.d)."`
	RegistriesMaxConcurrent string `default:"3" placeholder:"N" env:"SALLYPORT_REGISTRIES_MAX_CONCURRENT" help:"How many layers are pulled at the same time, of all images together (default 3)."`
	RegistriesRate          string `default:"unlimited" placeholder:"SIZE" env:"SALLYPORT_REGISTRIES_RATE" help:"How much is pulled per second, of all images together, such as 1MiB (default unlimited)."`
	RegistriesWindow        string `default:"always" placeholder:"FROM-TO" env:"SALLYPORT_REGISTRIES_WINDOW" help:"When images are pulled, by the host's clock, such as 22:00-06:00 (default always)."`
}

// registries returns the settings of registries. They are sound: [instance.settings] has checked
// them.
func (s settings) registries() registry.Settings {
	f := s.flags.registryFlags
	r := registry.Settings{DockerConfig: config.PathOrNone(f.RegistriesDockerConfig), Hosts: config.PathOrNone(f.RegistriesHosts)}
	r.MaxConcurrent, _ = config.PullsAtOnce(f.RegistriesMaxConcurrent)
	r.Rate, _ = config.PullRate(f.RegistriesRate)
	window, _ := config.PullWindow(f.RegistriesWindow)
	r.Window = registry.Window(window)
	return r
}
