package spec

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
)

func at(name string, line, from, to int) *hcl.Range {
	return &hcl.Range{Filename: name, Start: hcl.Pos{Line: line, Column: from}, End: hcl.Pos{Line: line, Column: to}}
}

func TestWriteDiagnostics(t *testing.T) {
	files := map[string][]byte{"a.hcl": []byte("one\r\n\ttwo three\n")}
	tests := []struct {
		name  string
		diag  hcl.Diagnostic
		color bool
		want  string
	}{
		{"no place", hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Bad", Detail: "Do better."}, false, "Error: Bad\n  Do better.\n\n"},
		{"no file", hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Bad", Subject: at("b.hcl", 7, 2, 3)}, false, "Error: Bad\n  b.hcl:7:2\n\n"},
		{"carriage return", hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Bad", Subject: at("a.hcl", 1, 1, 4), Detail: "Do."}, false, "Error: Bad\n  a.hcl:1:1\n     1 | one\n      | ^^^\n  Do.\n\n"},
		{"tab", hcl.Diagnostic{Severity: hcl.DiagWarning, Summary: "Odd", Subject: at("a.hcl", 2, 6, 11), Detail: "Do."}, false, "Warning: Odd\n  a.hcl:2:6\n     2 | \ttwo three\n      | \t    ^^^^^\n  Do.\n\n"},
		{"color", hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Bad", Subject: at("a.hcl", 1, 2, 3), Detail: "Do."}, true, "\x1b[1;31mError\x1b[0m: Bad\n  a.hcl:1:2\n     1 | o\x1b[1;31mn\x1b[0me\n      |  \x1b[1;31m^\x1b[0m\n  Do.\n\n"},
		{"past the end", hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Bad", Subject: at("a.hcl", 9, 9, 9), Detail: "Do."}, false, "Error: Bad\n  a.hcl:9:9\n  Do.\n\n"},
		{"several lines", hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Bad", Subject: &hcl.Range{Filename: "a.hcl", Start: hcl.Pos{Line: 1, Column: 2}, End: hcl.Pos{Line: 2, Column: 2}}, Detail: "Do."}, false, "Error: Bad\n  a.hcl:1:2\n     1 | one\n      |  ^^\n  Do.\n\n"},
		{"what a terminal would act on", hcl.Diagnostic{Severity: hcl.DiagError, Summary: "\x1b[2J", Detail: "\x07"}, false, "Error: �[2J\n  �\n\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got bytes.Buffer
			if err := WriteDiagnostics(&got, files, hcl.Diagnostics{&tt.diag}, 0, tt.color); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestWriteDiagnosticsOnAScreen(t *testing.T) {
	line := strings.Repeat("x", 30) + " = bad, " + strings.Repeat("y", 30)
	d := hcl.Diagnostic{
		Severity: hcl.DiagError, Summary: "Bad", Subject: at("folder/with a/long/name/of/a.hcl", 1, 34, 37),
		Detail: "Do better, and do it soon enough.",
	}
	var got bytes.Buffer
	if err := WriteDiagnostics(&got, map[string][]byte{d.Subject.Filename: []byte(line)}, hcl.Diagnostics{&d}, 31, false); err != nil {
		t.Fatal(err)
	}
	want := `Error: Bad
  folder/with
  a/long/name/of/a.hcl:1:34
     1 | …xxxxxxx = bad, yyyy…
      |            ^^^
  Do better, and do it soon
  enough.

`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

type full struct{}

var errFull = errors.New("disk full")

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestWriteDiagnosticsReportsWriteErrors(t *testing.T) {
	if err := WriteDiagnostics(full{}, nil, nil, 0, false); !errors.Is(err, errFull) {
		t.Errorf("got %v", err)
	}
}

func TestWrap(t *testing.T) {
	tests := []struct{ name, line, want string }{
		{"short", "a b", "  a b\n"},
		{"long", "aaaa bbbb cccc dddd", "  aaaa bbbb\n  cccc dddd\n"},
		{"indented", "  aaaa bbbb cccc", "    aaaa\n    bbbb\n    cccc\n"},
		{"one long word", strings.Repeat("a", 20), "  " + strings.Repeat("a", 20) + "\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := wrap(tt.line, 12); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
