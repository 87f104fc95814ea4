package ctrd

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/ctrd/ctrdtest"
	"github.com/sallyport/sallyport/spec"
)

// The kernel counts some things for each user, and a container's root is the host's. Containers
// can't use up what the host's limit allows. The control is the same program without the bound: it
// leaves nothing. The host's limits are lowered first, so that the machine around the test keeps
// the rest.
func TestRootSharedCounts(t *testing.T) {
	ctrdtest.NeedRoot(t)
	archive := busyboxArchive(t)
	binary, program := buildProgram(t, "hog", "amd64")
	// A need is how much a program of the host wants when the containers have all they get.
	for _, tt := range []struct {
		what             string
		resource         int
		limit            uint64
		all, bound, need int
	}{
		{"signals", unix.RLIMIT_SIGPENDING, 4000, 4000, 3000, 500},
		{"queues", unix.RLIMIT_MSGQUEUE, 400_000, 4, 3, 1}, // of some 83 kB each
	} {
		t.Run(tt.what, func(t *testing.T) {
			lowerLimit(t, tt.resource, tt.limit)
			var turn sync.Mutex // the counts are the user's, not the server's
			eachServer(t, func(t *testing.T, c *Client) {
				turn.Lock()
				defer turn.Unlock()
				hog := placed("hog", spec.App, program)
				hog.Command = []string{"/probe", tt.what, fmt.Sprint(2 * tt.all)}
				r := newHarness(t, c, archive, hog)
				r.run()
				r.says("hog", ".\n")
				got, rest := parseHog(t, r.output("hog"))
				if got > tt.bound || got < tt.bound*3/4 {
					t.Errorf("the container has got %d, want at most %d and not much less: %s", got, tt.bound, rest)
				}
				if strings.Contains(rest, "raised true") {
					t.Error("a container can raise its limit")
				}
				if got, rest := runHog(t, binary, tt.what, tt.need); got != tt.need {
					t.Errorf("beside it the host has got %d, want %d: %s", got, tt.need, rest)
				}
				if err := c.Stop(t.Context(), "g", "hog", spec.Stop{}); err != nil {
					t.Fatal(err)
				}
				if got, rest := runHog(t, binary, tt.what, tt.all, tt.need); got == tt.need {
					t.Errorf("control: beside a hog without a bound the host has got %d: %s", got, rest)
				}
			})
		})
	}
}

// lowerLimit lowers a limit of this process, and so of what it starts, until the test ends.
func lowerLimit(t *testing.T, resource int, to uint64) {
	t.Helper()
	var before unix.Rlimit
	if err := unix.Getrlimit(resource, &before); err != nil {
		t.Fatal(err)
	}
	if before.Cur < to {
		ctrdtest.Missing(t, fmt.Sprintf("the limit is %d, below the %d that the test wants", before.Cur, to))
	}
	if err := unix.Setrlimit(resource, &unix.Rlimit{Cur: to, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Setrlimit(resource, &before); err != nil {
			t.Error(err)
		}
	})
}

// runHog runs hogs on the host, one after another while the earlier ones keep what they have. It
// returns what the last one has got.
func runHog(t *testing.T, binary, what string, most ...int) (got int, rest string) {
	t.Helper()
	for _, n := range most {
		cmd := exec.Command(binary, what, fmt.Sprint(n), "stdin")
		cmd.Stderr = os.Stderr
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() {
			in.Close()
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
		}()
		line, err := bufio.NewReader(out).ReadString('\n')
		if err != nil && err != io.EOF {
			t.Fatal(err)
		}
		got, rest = parseHog(t, line)
	}
	return got, rest
}

func parseHog(t *testing.T, line string) (got int, rest string) {
	t.Helper()
	number, rest, ok := strings.Cut(strings.TrimPrefix(line, "got "), ",")
	if _, err := fmt.Sscan(number, &got); err != nil || !ok {
		t.Fatalf("the hog said %q", line)
	}
	return got, strings.TrimSpace(rest)
}
