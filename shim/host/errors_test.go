package host_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"testing"

	"github.com/sallyport/sallyport/shim/host"
)

type unavailable struct{}

func (unavailable) Error() string { return "connection refused" }
func (unavailable) Unavailable()  {}

func TestPassing(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		want bool
	}{
		{"none", nil, false},
		{"too late", fmt.Errorf("start web: %w", context.DeadlineExceeded), true},
		{"interrupted", fmt.Errorf("list addresses: %w", syscall.EINTR), true},
		{"unavailable", fmt.Errorf("create web: %w", unavailable{}), true},
		{"one of two", errors.Join(errors.New("boom"), unavailable{}), true},
		{"given up by the caller", context.Canceled, false},
		{"not there", fs.ErrNotExist, false},
		{"no memory", syscall.ENOMEM, false},
		{"boom", errors.New("boom"), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := host.Passing(tt.err); got != tt.want {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}
