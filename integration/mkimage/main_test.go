package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRunReplacesTheArchiveOrLeavesIt(t *testing.T) {
	dir := files(t, map[string]string{"web": "program"})
	out := filepath.Join(dir, "web.tar")
	if err := run(cli{Out: out, Files: []string{filepath.Join(dir, "web") + ":/web"}}); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		files []string
		want  string
	}{
		{"no colon", []string{"web"}, "want SRC:DST"},
		{"missing", []string{"none:/web"}, "no such file"},
		{"relative", []string{filepath.Join(dir, "web") + ":web"}, "must be absolute"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := run(cli{Out: out, Files: tt.files})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error is %v, want one with %q", err, tt.want)
			}
			after, err := os.ReadFile(out)
			if err != nil || string(after) != string(before) {
				t.Errorf("the archive was touched (%v)", err)
			}
		})
	}
}
