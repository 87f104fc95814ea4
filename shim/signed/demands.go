package signed

import (
	"strings"

	"github.com/sallyport/sallyport/spec"
)

// EveryImage is the prefix of a demand for all images, those of files too.
const EveryImage = "*"

// A Demand is this host's demand that images are signed.
type Demand struct {
	Prefix  string        // of repositories, such as registry.example/team; or [EveryImage]
	Signers []spec.Signer // one of them suffices; empty: these images need no signature
}

// Demands are all demands of this host. Their prefixes are as [Plain] has them. Of those that an
// image is below, the one with the longest prefix counts.
type Demands []Demand

// Plain returns a repository, or the beginning of one, with the plain name of its registry. One
// registry has several names that differ in how they are written alone. A group file must not get
// past a demand by the choice of one.
func Plain(repository string) string {
	registry, path, below := strings.Cut(repository, "/")
	registry = strings.TrimSuffix(strings.ToLower(registry), ":443")
	switch registry {
	case "index.docker.io", "registry-1.docker.io":
		registry = "docker.io"
	}
	if below {
		registry += "/" + path
	}
	return registry
}

// Of returns the demand for an image. Without one, it has no signers.
func (all Demands) Of(image Image) (found Demand) {
	image.Repository = Plain(image.Repository)
	for _, d := range all {
		if d.covers(image) && (found.Prefix == "" || len(d.Prefix) > len(found.Prefix)) {
			found = d
		}
	}
	return found
}

func (d Demand) covers(image Image) bool {
	return d.Prefix == EveryImage || image.Repository == d.Prefix || strings.HasPrefix(image.Repository, d.Prefix+"/")
}
