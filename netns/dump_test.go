package netns_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/sallyport/sallyport/netns"
)

func TestDump(t *testing.T) {
	boom := errors.New("boom")
	for _, tt := range []struct {
		name        string
		interrupted int
		then        error
		want        string // part of the error; empty: there is none
	}{
		{"at once", 0, nil, ""},
		{"interrupted once", 1, nil, ""},
		{"interrupted often", 30, nil, ""},
		{"never whole", 1000, nil, "it changed each of the 40 times that it was read: results may be incomplete or inconsistent"},
		{"another error", 0, boom, "boom"},
		{"another error later", 2, boom, "boom"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began, asked := time.Now(), 0
				got, err := netns.Dump(func() ([]string, error) {
					if asked++; asked <= tt.interrupted {
						return []string{"torn"}, fmt.Errorf("list: %w", netlink.ErrDumpInterrupted)
					}
					if tt.then != nil {
						return nil, tt.then
					}
					return []string{"whole"}, nil
				})
				switch {
				case tt.want == "":
					if err != nil || len(got) != 1 || got[0] != "whole" || asked != tt.interrupted+1 {
						t.Errorf("%v, %v, asked %d times", got, err, asked)
					}
				case err == nil || !strings.HasSuffix(strings.ReplaceAll(err.Error(), "list: ", ""), tt.want) || got != nil:
					t.Errorf("%v, %v, want %q", got, err, tt.want)
				}
				if took := time.Since(began); took > 2*time.Second {
					t.Errorf("it took %s", took)
				}
			})
		})
	}
}
