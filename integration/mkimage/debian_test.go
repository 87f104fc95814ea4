package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDepends(t *testing.T) {
	for _, tt := range []struct {
		name, records string
		want          []string
	}{
		{"none", "Package: libc6\nVersion: 2.36\n", nil},
		{"versions and alternatives", "Depends: libc6 (>= 2.34), default-mta | mail-transport-agent, python3:any\n", []string{"libc6", "default-mta", "python3"}},
		{"both fields", "Pre-Depends: dpkg (>= 1.17)\nDepends: libssl3\n", []string{"dpkg", "libssl3"}},
		{"other fields", "Recommends: libwrong1\nDescription: Depends: on you\nDepends: libz1\n", []string{"libz1"}},
		{"several records", "Package: a\nDepends: liba1\n\nPackage: b\nDepends: libb1\n", []string{"liba1", "libb1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, depends(tt.records)); diff != "" {
				t.Errorf("depends (-want +got):\n%s", diff)
			}
		})
	}
}

func TestClosure(t *testing.T) {
	records := map[string]string{
		"haproxy":  "Depends: libssl3, adduser, liblua5.3-0\n",
		"libssl3":  "Depends: libc6\n",
		"liblua":   "",
		"libc6":    "Depends: libgcc-s1, libssl3\n", // a circle
		"adduser":  "Depends: libwrong\n",
		"libwrong": "",
	}
	calls := 0
	got, err := closure("haproxy", func(names []string) (string, error) {
		calls++
		var b strings.Builder
		for _, n := range names {
			b.WriteString(records[n] + "\n")
		}
		return b.String(), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"haproxy", "libssl3", "liblua5.3-0", "libc6", "libgcc-s1"}, got); diff != "" {
		t.Errorf("closure (-want +got):\n%s", diff)
	}
	if calls != 4 {
		t.Errorf("asked %d times, want once for each of 4 levels", calls)
	}
}

func TestClosureOfAnUnknownPackage(t *testing.T) {
	unknown := errors.New("no packages found")
	if _, err := closure("nothing", func([]string) (string, error) { return "", unknown }); !errors.Is(err, unknown) {
		t.Errorf("error is %v, want %v", err, unknown)
	}
}
