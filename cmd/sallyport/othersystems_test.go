package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/shim/hint"
)

// Each file of another system is answered with the way to bring it, under any name.
func TestFilesOfOtherSystems(t *testing.T) {
	const compose, pod, unit, nomad = "a compose file", "a file of Kubernetes", "a unit of podman (quadlet)", "a job of Nomad"
	for _, tt := range []struct{ name, content, what string }{
		{"docker-compose.yml", "services:\n  web:\n    image: nginx\n", compose},
		{"compose.yaml", "# a comment\nname: shop\n\nservices:\n  web: {}\n", compose},
		{"compose.json", "{\n  \"services\": {}\n}\n", compose},
		{"docker-compose.yml", "version: '3'\nservices:\n", compose},
		{"pod.yaml", "---\napiVersion: v1\nkind: Pod\n", pod},
		{"pod.json", "{\"apiVersion\": \"v1\"}", pod},
		{"web.container", "[Unit]\nDescription=x\n[Container]\nImage=nginx\n", unit},
		{"shop.pod", "[Pod]\nPublishPort=80:80\n", unit},
		{"shop.nomad", "job \"shop\" {\n}\n", nomad},
		{"shop.json", "{\"Job\": {}}", nomad},
		{"Dockerfile", "FROM debian\n", "a file that builds an image"},
		{"values.yaml", "image: nginx\n", ""},
		{"note.txt", "services:\n", ""},
		{"shop.service", "[Unit]\n", ""},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, tt.name)
		if err := os.WriteFile(path, []byte(tt.content), 0o644); err != nil {
			t.Fatal(err)
		}
		for what, arg := range map[string]string{"file": path, "folder": dir} {
			_, err := expand(t.Context(), []string{arg})
			var h *hint.Error
			if err == nil || !errors.As(err, &h) {
				t.Errorf("%s %s: %v", what, tt.name, err)
				continue
			}
			if named := strings.Contains(err.Error(), "but "+tt.what); tt.what != "" && !(named && strings.Contains(h.Hint, theWords)) {
				t.Errorf("%s %s: %v (%s), want %s", what, tt.name, err, h.Hint, tt.what)
			}
			if tt.what == "" && strings.Contains(err.Error(), "but ") {
				t.Errorf("%s %s: %v", what, tt.name, err)
			}
		}
	}
}

// A group file is never taken for one of another system. Its files may have any text.
func TestGroupFilesAreNoOthers(t *testing.T) {
	for _, content := range []string{
		"group \"g\" {\n  app \"a\" {\n    file \"/x\" { content = <<EOT\nservices:\n  web: {}\napiVersion: v1\nEOT\n }\n }\n}\n",
		"# services:\n\ngroup \"g\" {}\n", "", "/* x: */ group \"g\" {}", "variable \"x\" {}\n",
	} {
		if err := checkLanguage("x.hcl", []byte(content)); err != nil {
			t.Errorf("%v:\n%s", err, content)
		}
	}
	for _, content := range []string{"services:\n  web: {}\n", "# x\n\n---\napiVersion: v1\n", "[Container]\nImage=x\n"} {
		if err := checkLanguage("x.hcl", []byte(content)); err == nil {
			t.Errorf("accepted:\n%s", content)
		}
	}
}
