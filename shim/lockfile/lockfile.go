// Package lockfile reads and writes the file that pins the images of the group files in a folder.
// It is pure.
//
// Pitfall: the path of an archive is relative in the file and absolute in a group, so that the
// folder can be on another host. [File.Of] has them as groups do.
package lockfile

import (
	"bytes"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/gohcl"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Name is the name of a lock file. It does not end in .hcl, so it is no group file.
const Name = "sallyport.lock"

// MaxSize bounds a lock file, in bytes.
const MaxSize = 1 << 20

// version is that of the format.
const version = 1

const header = `# Written by "sallyport lock": the images of the group files in this folder, by digest. Keep it with them.
# "sallyport lock" adds what is missing. "sallyport lock --update" asks again what the names mean.

`

// A File has the digests of images by reference. The path of an archive below the folder is
// relative.
type File struct{ Images map[string]Entry }

// An Entry is the digest of an index, of a manifest, or of the image in an archive.
type Entry struct {
	Digest string
	Place  hcl.Range // of the reference in the file
}

var digest = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// Parse reads a lock file. name is for the diagnostics.
func Parse(name string, src []byte) (f File, diags hcl.Diagnostics) {
	f.Images = map[string]Entry{}
	parsed, diags := hclsyntax.ParseConfig(src, name, hcl.InitialPos)
	if diags.HasErrors() {
		for _, d := range diags {
			d.Detail += " This is a lock file; \"sallyport lock\" writes it anew once it is removed."
		}
		return f, diags
	}
	fail := func(at hcl.Range, summary, format string, args ...any) {
		diags = append(diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: fmt.Sprintf(format, args...), Subject: &at})
	}
	body := parsed.Body.(*hclsyntax.Body)
	for _, b := range body.Blocks {
		fail(b.TypeRange, "No block of a lock file", "A lock file has the lines version and images alone.")
	}
	found := 0
	for _, name := range slices.Sorted(maps.Keys(body.Attributes)) {
		a := body.Attributes[name]
		switch name {
		case "version":
			found++
			n := 0
			if gohcl.DecodeExpression(a.Expr, nil, &n).HasErrors() || n != version {
				fail(a.Expr.Range(), "Unknown version", "This version of Sallyport reads version %d of a lock file. Use the one that has written it, or remove the file and run \"sallyport lock\".", version)
			}
		case "images":
			diags = append(diags, f.images(a.Expr)...)
		default:
			fail(a.NameRange, "Unknown line", "A lock file has the lines version and images alone.")
		}
	}
	if found == 0 && !diags.HasErrors() {
		fail(body.MissingItemRange(), "No version", "A lock file begins with: version = %d", version)
	}
	return f, diags
}

func (f *File) images(expr hcl.Expression) (diags hcl.Diagnostics) {
	pairs, diags := hcl.ExprMap(expr)
	for _, p := range pairs {
		var ref, sum, why string
		at := hcl.RangeBetween(p.Key.Range(), p.Value.Range())
		switch {
		case gohcl.DecodeExpression(p.Key, nil, &ref).HasErrors() || gohcl.DecodeExpression(p.Value, nil, &sum).HasErrors() || ref == "":
			why = "A line has a reference and a digest: \"app:1\" = \"sha256:...\""
		case !digest.MatchString(sum):
			why = "A digest is sha256: and 64 letters of 0-9 and a-f. \"sallyport lock --update IMAGE\" writes it anew."
		case f.Images[ref].Digest != "":
			why = "The reference stands twice. Remove one of the lines, as after a merge."
		default:
			f.Images[ref] = Entry{sum, at}
			continue
		}
		diags = append(diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Invalid line of a lock file", Detail: why, Subject: &at})
	}
	return diags
}

// Bytes returns the text of the file: one line for each image, sorted and not aligned, so that a
// change touches no other line.
func (f File) Bytes() []byte {
	var b bytes.Buffer
	b.WriteString(header)
	fmt.Fprintf(&b, "version = %d\n\nimages = {\n", version)
	for _, ref := range slices.Sorted(maps.Keys(f.Images)) {
		fmt.Fprintf(&b, "  \"%s\" = %q\n", escape.Replace(ref), f.Images[ref].Digest)
	}
	b.WriteString("}\n")
	return b.Bytes()
}

// escape makes a reference the content of a quoted text of HCL. A path may have any letters.
var escape = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\t", `\t`, "${", "$${", "%{", "%%{")

var archives = []string{"docker-archive:", "oci-archive:", "oci:"}

// IsArchive reports whether a reference is an archive or a folder on the host.
func IsArchive(ref string) bool {
	return slices.ContainsFunc(archives, func(prefix string) bool { return strings.HasPrefix(ref, prefix) })
}

// Needs reports whether a reference has an entry. One with a digest means the same for ever.
func Needs(ref string) bool { return IsArchive(ref) || !strings.Contains(ref, "@") }

// Key returns the key of a group's reference in the lock file of a folder, whose path is absolute.
func Key(folder, ref string) string {
	for _, prefix := range archives {
		if file, ok := strings.CutPrefix(ref, prefix); ok {
			if below, ok := strings.CutPrefix(file, strings.TrimSuffix(path.Clean(folder), "/")+"/"); ok {
				return prefix + below
			}
		}
	}
	return ref
}

// Of returns the digests by reference as groups in the folder have them.
func (f File) Of(folder string) map[string]string {
	all := map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(f.Images)) { // of two spellings of one path, the last counts
		ref, e := key, f.Images[key]
		for _, prefix := range archives {
			if file, ok := strings.CutPrefix(key, prefix); ok && !path.IsAbs(file) {
				ref = prefix + path.Join(folder, file)
			}
		}
		all[ref] = e.Digest
	}
	return all
}
