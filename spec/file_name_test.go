package spec

import "testing"

func TestIsGroupFile(t *testing.T) {
	for name, want := range map[string]bool{
		"web.hcl": true, "a.b.hcl": true, "web.hcl~": false, ".web.hcl.swp": false, ".web.hcl": false, ".web.hcl4027183990113": false,
		"#web.hcl#": false, "#web.hcl": false, ".#web.hcl": false, ".hcl": false, "web.txt": false, "web": false, "": false,
		"web.hcl.json": true, "web.json": false, ".hcl.json": false, "web.hcl.json~": false, ".web.hcl.json.swp": false,
		"web.vars.hcl": false, "web.vars.hcl.json": false, "vars.hcl": true, "a.auto.vars.hcl": false, "sallyport.vars.hcl": false,
	} {
		if got := IsGroupFile(name); got != want {
			t.Errorf("IsGroupFile(%q) = %v", name, got)
		}
	}
}

func TestVarsFileNames(t *testing.T) {
	for name, want := range map[string][3]bool{ // a file with values; read by itself; before the others
		"prod.vars.hcl": {true}, "prod.vars.hcl.json": {true}, "vars.hcl": {}, "prod.tfvars": {}, "web.hcl": {}, ".vars.hcl": {},
		"prod.auto.vars.hcl": {true, true}, "prod.auto.vars.hcl.json": {true, true}, ".#prod.auto.vars.hcl": {}, "#a.auto.vars.hcl#": {}, "a.auto.vars.hcl~": {},
		"sallyport.vars.hcl": {true, true, true}, "sallyport.vars.hcl.json": {true, true, true}, ".sallyport.vars.hcl": {}, "my-sallyport.vars.hcl": {true},
	} {
		auto, general := IsAutoVarsFile(name)
		if got := [3]bool{IsVarsFile(name), auto, general}; got != want {
			t.Errorf("%q: %v, want %v", name, got, want)
		}
	}
}
