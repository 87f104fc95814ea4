package spec

import (
	"bytes"
	"encoding/json"
	"flag"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// testFiles are the files of the host that the tests' group files can name.
var testFiles = map[string]string{
	"/etc/sallyport/groups.d/haproxy.cfg":    "frontend payments\n",
	"/etc/sallyport/groups.d/conf/proxy.cfg": "listen api\n",
	"/etc/sallyport/groups.d/conf/web.env":   "# of the file\nLEVEL=file\nFROM_FILE=one\nTWICE=1\n",
	"/etc/sallyport/groups.d/conf/more.env":  "TWICE=2\n",
	"/etc/sallyport/groups.d/conf/web.tpl":   "%{ for name, port in ports }${upper(name)}=${port}\n%{ endfor }",
	"/etc/sallyport/groups.d/conf/bad.tpl":   "a\n${prot}\n",
	"/etc/sallyport/groups.d/conf/half.tpl":  "a\n${\n",
	"/etc/sallyport/groups.d/conf/self.tpl":  "${templatefile(\"conf/self.tpl\", {})}",
	"/etc/sallyport/groups.d/conf/call.tpl":  "${uper(\"x\")}",
	"/etc/sallyport/groups.d/ports.yaml":     "base: &base {web: 8080}\nports:\n  <<: *base\n  api: 9090\n",
	"/etc/sallyport/groups.d/logo.png":       "\x89PNG",

	"/etc/sallyport/keys/vendor.pub":   "of the vendor\n" + vendorKey,
	"/etc/sallyport/keys/team.pub":     teamKey,
	"/etc/sallyport/keys/two.pub":      vendorKey + teamKey,
	"/etc/sallyport/keys/weak.pub":     "-----BEGIN PUBLIC KEY-----\nMIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCnxHrs17fBT2y66G8jUfGYXbaz\npegGpyzLvnKCNOrGFKg9XtUW0IShUZ+HZA0nuITWNQgBVf6kk4pYB+KWnsKqoc9/\nYXddyEwIB+gx85bTccB4tP2UOh13rVLo32kyf25EAwNOwHAta0R+2VhxXIroLP5E\nT9od5yqQS/X3xDaL8QIDAQAB\n-----END PUBLIC KEY-----\n",
	"/etc/sallyport/keys/damaged.pub":  "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
	"/etc/sallyport/keys/cosign.key":   "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n",
	"/etc/sallyport/keys/vendor.crt":   "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
	"/etc/sallyport/keys/ssh.pub":      "ssh-ed25519 AAAA bob\n",
	"/etc/sallyport/web.sigstore.json": `{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json"}`,
}

// Public keys. No one has the private ones.
const (
	vendorKey = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEBD3XWpTKp/lhBLt6gRJy4+9Y2D8R\nvsesJx0C5OT7ddGvjbA1m9q/x3/mm6QEDQB+Y0A66I93KTowVCc8DxpKpw==\n-----END PUBLIC KEY-----\n"
	teamKey   = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n"
)

func readTestFile(name string) ([]byte, error) {
	if name == "/etc/shadow" {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	if pattern, ok := strings.CutSuffix(name, "/"); ok {
		return matchTestFiles(pattern)
	}
	content, ok := testFiles[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return []byte(content), nil
}

// matchTestFiles returns what [Source.ReadFile] has for a pattern.
func matchTestFiles(pattern string) ([]byte, error) {
	folder, text := false, ""
	for _, name := range slices.Sorted(maps.Keys(testFiles)) {
		folder = folder || strings.HasPrefix(name, path.Dir(pattern)+"/")
		if ok, _ := path.Match(pattern, name); ok {
			text += path.Base(name) + "\n"
		}
	}
	if !folder {
		return nil, &fs.PathError{Op: "open", Path: path.Dir(pattern), Err: fs.ErrNotExist}
	}
	return []byte(text), nil
}

func source(name, text string) Source {
	return Source{Name: name, Dir: "/etc/sallyport/groups.d", Bytes: []byte(text), ReadFile: readTestFile}
}

// load reads a file of testdata. Its Name is the base name, so nothing depends on the folder of the
// tests. A first line "# vars: a=1 b=2" gives values to its variables.
func load(t testing.TB, path string) Source {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	src := source(filepath.Base(path), string(text))
	first, _, _ := strings.Cut(string(text), "\n")
	if vars, ok := strings.CutPrefix(first, "# vars: "); ok {
		src.Vars = map[string]string{}
		for _, pair := range strings.Fields(vars) {
			name, value, _ := strings.Cut(pair, "=")
			src.Vars[name] = value
		}
	}
	return src
}

func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func glob(t testing.TB, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("no files match %s (%v)", pattern, err)
	}
	return paths
}

func printed(t testing.TB, src Source, diags hcl.Diagnostics) string {
	t.Helper()
	var text bytes.Buffer
	if err := WriteDiagnostics(&text, map[string][]byte{src.Name: src.Bytes}, diags, 0, false); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// The files directly in testdata are good.
func TestGoldenValues(t *testing.T) {
	for _, path := range glob(t, "testdata/*.hcl") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			src := load(t, path)
			groups, diags := Parse(src)
			if diags.HasErrors() {
				t.Fatalf("refused:\n%s", printed(t, src, diags))
			}
			got, err := json.MarshalIndent(groups, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, strings.TrimSuffix(path, ".hcl")+".golden.json", append(got, '\n'))
		})
	}
}

func TestGoldenMistakes(t *testing.T) {
	for _, path := range glob(t, "testdata/bad/*.hcl") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			src := load(t, path)
			_, diags := Parse(src)
			if len(diags) == 0 {
				t.Fatal("accepted")
			}
			golden(t, strings.TrimSuffix(path, ".hcl")+".golden.txt", []byte(printed(t, src, diags)))
		})
	}
}
