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
