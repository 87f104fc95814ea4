package config

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"

	"github.com/sallyport/sallyport/spec"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func printed(t testing.TB, name string, src []byte, diags hcl.Diagnostics) string {
	t.Helper()
	var text bytes.Buffer
	if err := spec.WriteDiagnostics(&text, map[string][]byte{name: src}, diags, 0, false); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

func TestGoldenMistakes(t *testing.T) {
	paths, err := filepath.Glob("testdata/bad/*.hcl")
	if err != nil || len(paths) == 0 {
		t.Fatal("no files", err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			src, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			file, diags := Parse(filepath.Base(path), src)
			if !diags.HasErrors() {
				t.Fatal("accepted")
			}
			if len(file) > 0 && !strings.Contains(string(src), "# sound") {
				t.Errorf("values of a file without a sound one: %v", file)
			}
			golden(t, strings.TrimSuffix(path, ".hcl")+".golden.txt", printed(t, filepath.Base(path), src, diags))
		})
	}
}

// Each setting can be set, alone and together with all others, to its default or its example.
func TestEverySetting(t *testing.T) {
	var whole strings.Builder
	for _, s := range Settings {
		line := s.line() + "\n"
		if s.Block != "" {
			line = s.Block + " {\n" + line + "}\n"
		}
		file, diags := Parse("sallyport.hcl", []byte(line))
		if diags.HasErrors() || len(file) != 1 || file[s.Flag].Text != s.example() {
			t.Errorf("%s: %v, %v", s.FullName(), file, diags)
		}
		if s.About == "" || s.example() == "" {
			t.Errorf("%s lacks a description or a value", s.FullName())
		}
	}
	for _, block := range append([]string{""}, blocks()...) {
		if block != "" {
			whole.WriteString(block + " {\n")
		}
		for _, s := range Settings {
			if s.Block == block {
				whole.WriteString(s.line() + "\n")
			}
		}
		if block != "" {
			whole.WriteString("}\n")
		}
	}
	file, diags := Parse("sallyport.hcl", []byte(whole.String()))
	if diags.HasErrors() || len(file) != len(Settings) {
		t.Errorf("all together: %d of %d values, %v", len(file), len(Settings), diags)
	}
}

func TestEmpty(t *testing.T) {
	if file, diags := Parse("sallyport.hcl", nil); len(diags) > 0 || len(file) > 0 {
		t.Errorf("an empty file: %v, %v", file, diags)
	}
}

func TestTooLarge(t *testing.T) {
	_, diags := Parse("sallyport.hcl", bytes.Repeat([]byte("# x\n"), MaxFile/4+1))
	if !diags.HasErrors() {
		t.Error("a file of more than 64 KiB is accepted")
	}
}

func TestIs(t *testing.T) {
	for _, tt := range []struct {
		name, file, src string
		want            bool
	}{
		{"by its name", "/etc/sallyport/sallyport.hcl", "", true},
		{"by its name, with an unknown block", "sallyport.hcl", "folder {}", true},
		{"by a block", "x.hcl", "folders {}", true},
		{"by a block of keys", "x.hcl", "signed_by \"*\" {}", true},
		{"a group of that name", "groups.d/sallyport.hcl", "group \"x\" {}", false},
		{"a group file", "x.hcl", "locals {}", false},
		{"nothing", "x.hcl", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Is(tt.file, []byte(tt.src)); got != tt.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

// Where other hosts may read the metrics, a file is valid, and its author is told.
func TestMetricsListen(t *testing.T) {
	for _, tt := range []struct {
		text, address, problem string
		warns                  bool
	}{
		{text: "off"},
		{text: "127.0.0.1:9469", address: "127.0.0.1:9469"},
		{text: "[::1]:9469", address: "[::1]:9469"},
		{text: "[::ffff:127.0.0.1]:9469", address: "[::ffff:127.0.0.1]:9469"},
		{text: "/run/sallyport/metrics.sock", address: "/run/sallyport/metrics.sock"},
		{text: "0.0.0.0:9469", address: "0.0.0.0:9469", warns: true},
		{text: "[::]:9469", address: "[::]:9469", warns: true},
		{text: "192.0.2.7:9469", address: "192.0.2.7:9469", warns: true},
		{text: ":9469", problem: "is neither an address and a port"},
		{text: "localhost:9469", problem: "is neither an address and a port"},
		{text: "9469", problem: "is neither an address and a port"},
		{text: "", problem: "is neither an address and a port"},
		{text: "127.0.0.1", problem: "is neither an address and a port"},
		{text: "127.0.0.1:0", problem: "has no port"},
		{text: "127.0.0.1:70000", problem: "is neither an address and a port"},
		{text: "run/metrics.sock", problem: "is neither an address and a port"},
		{text: "/run/sallyport/", problem: "is a folder"},
		{text: "/" + strings.Repeat("x", 107), problem: "This path has 108 bytes"},
	} {
		address, problem := MetricsListen(tt.text)
		if !strings.Contains(problem, tt.problem) || (problem == "") != (tt.problem == "") || problem == "" && address != tt.address {
			t.Errorf("%q: %q, %q", tt.text, address, problem)
		}
		file, diags := Parse("sallyport.hcl", []byte("metrics {\n  listen = \""+tt.text+"\"\n}\n"))
		if diags.HasErrors() != (tt.problem != "") || tt.problem == "" && (file["metrics-listen"].Text != tt.text || len(diags) > 0 != tt.warns) {
			t.Errorf("%q in a file: %v, %v", tt.text, file, diags)
		}
	}
}

// A file of any content is read in the end, and every mistake has a place.
func FuzzParse(f *testing.F) {
	paths, _ := filepath.Glob("testdata/bad/*.hcl")
	for _, path := range paths {
		src, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		_, diags := Parse("sallyport.hcl", src)
		for _, d := range diags {
			if d.Subject == nil {
				t.Errorf("no place: %v", d)
			}
		}
		printed(t, "sallyport.hcl", src, diags)
	})
}
