package signed_test

import (
	"testing"

	"github.com/sallyport/sallyport/shim/signed"
	"github.com/sallyport/sallyport/spec"
)

func TestDemands(t *testing.T) {
	demands := signed.Demands{
		{Prefix: "r.example/team", Signers: []spec.Signer{{File: "team.pub"}}},
		{Prefix: signed.EveryImage, Signers: []spec.Signer{{File: "all.pub"}}},
		{Prefix: "r.example", Signers: []spec.Signer{{File: "r.pub"}}},
		{Prefix: "r.example/team/open"},
	}
	for repository, want := range map[string]string{
		"r.example/team/app": "team.pub", "r.example/team": "team.pub", "r.example/teams": "r.pub", "r.example:5000/team/app": "all.pub", "r.example.evil/team": "all.pub",
		"docker.io/library/nginx": "all.pub", "": "all.pub", "r.example/team/open/app": "",
		"R.Example/team/app": "team.pub", "r.example:443/team/app": "team.pub", "R.EXAMPLE:443/team/open/app": "", "r.example:4430/team/app": "all.pub",
	} {
		got := demands.Of(signed.Image{Repository: repository})
		if len(got.Signers) != 0 != (want != "") || want != "" && got.Signers[0].File != want {
			t.Errorf("%q: %+v, want %q", repository, got, want)
		}
	}
	if got := demands[:1].Of(signed.Image{}); len(got.Signers) != 0 {
		t.Errorf("an image of a file is below a prefix: %+v", got)
	}
	if got := (signed.Demands)(nil).Of(signed.Image{Repository: "r.example"}); got.Prefix != "" {
		t.Errorf("without demands: %+v", got)
	}
}

// Names of one registry that differ in how they are written alone are one name.
func TestPlain(t *testing.T) {
	for name, want := range map[string]string{
		"": "", "*": "*", "docker.io": "docker.io", "registry-1.docker.io/library/nginx": "docker.io/library/nginx", "registry-1.docker.io:443": "docker.io",
		"index.docker.io/team": "docker.io/team", "LocalHost:5000/app": "localhost:5000/app", "[::1]:443/app": "[::1]/app", "r.example/docker.io/x": "r.example/docker.io/x",
	} {
		if got := signed.Plain(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}
