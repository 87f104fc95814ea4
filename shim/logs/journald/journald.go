package journald

import (
	"context"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/shim/logs/wanted"
)

const (
	// DefaultSocket is where systemd's journal takes entries.
	DefaultSocket = "/run/systemd/journal/socket"

	defaultEvery   = time.Second
	defaultUnended = 5 * time.Second
	idlePauses     = 10       // pauses in one while no group asks for the journal
	maxLine        = 1 << 20  // a longer line comes in pieces of this many bytes
	saveEvery      = 64 << 10 // bytes that come again, at most, if the process is killed
	// lateAfter is how long after its writing a line may come without its time. The time of its
	// entry is right then.
	lateAfter = 2 * time.Second
)

// A Config names where output comes from and where it goes.
type Config struct {
	LogDir string       // required: the folder with the output of all groups
	Socket string       // optional: "" is DefaultSocket
	Log    *slog.Logger // optional: nil discards

	// Every is the pause between two looks at the output. Optional: 0 is a second.
	Every time.Duration
	// Changed gets a value after output has grown, or what is asked for it has changed. Without
	// one, nothing is looked at while all is sent. Optional: nil means that all is looked at each
	// pause.
	Changed <-chan struct{}
	// Unended is how long a line without an end waits for it. Optional: 0 is five seconds.
	Unended time.Duration
}

// Run forwards output until ctx ends. A journal that is away is no error: its output waits in the
// files as long as they are kept. At most one may run for a folder.
func Run(ctx context.Context, c Config) error {
	f := newForwarder(c)
	defer f.socket.close()
	for {
		if f.pass(ctx) {
			continue
		}
		if c.Changed != nil && !f.waits {
			select {
			case <-ctx.Done():
				return nil
			case <-c.Changed:
				f.rested(time.Now())
			}
		}
		pause := f.cfg.Every
		if f.idle {
			pause *= idlePauses
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// A forwarder has what outlives one look at the output.
type forwarder struct {
	cfg    Config
	log    *slog.Logger
	socket socket
	buf    []byte            // nil until there is output to forward
	states map[string]*state // by path of the output file
	turn   int               // the file with which the next look begins
	idle   bool              // no output is to be forwarded
	waits  bool              // the last look has left something to send
	away   bool              // the journal didn't take the last entry
	unsave string            // why the last position was not saved. Empty: it was
}

// A state has how far one output file was sent.
type state struct {
	position
	saved   int64     // the offset that was saved last
	allSent time.Time // when all of the file was last sent. What it has now was written later
	unended int64     // size of the file when a line without an end was first seen
	since   time.Time // when that was
}

func newForwarder(c Config) *forwarder {
	if c.Socket == "" {
		c.Socket = DefaultSocket
	}
	if c.Every == 0 {
		c.Every = defaultEvery
	}
	if c.Unended == 0 {
		c.Unended = defaultUnended
	}
	f := &forwarder{cfg: c, log: c.Log, socket: socket{path: c.Socket}, states: map[string]*state{}}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	return f
}

// An output is one output file that is to be forwarded.
type output struct {
	source
	dir  string
	file string
}

// pass sends what is there, at most a buffer of each file. It reports whether there may be more to
// send now. The files take turns: where the journal is slow, the next look begins with the file
// after the one that had to stop.
func (f *forwarder) pass(ctx context.Context) (more bool) {
	all := f.outputs()
	f.idle, f.waits = len(all) == 0, false
	if f.buf == nil && !f.idle {
		f.buf = make([]byte, maxLine)
	}
	maps.DeleteFunc(f.states, func(path string, _ *state) bool {
		return !slices.ContainsFunc(all, func(o output) bool { return o.path() == path })
	})
	for i := range all {
		if ctx.Err() != nil {
			return false
		}
		o := all[(f.turn+i)%len(all)]
		again, err := f.forward(o)
		if err != nil {
			if !f.away {
				f.log.Warn("the journal does not take output, which waits", "error", err)
			}
			f.away, f.waits, f.turn = true, true, (f.turn+i+1)%len(all)
			return false
		}
		more = more || again
	}
	return more
}

// rested notes that until now nothing was written since all was sent.
func (f *forwarder) rested(now time.Time) {
	for path, s := range f.states {
		// This process may have been stopped. What was printed meanwhile keeps its time.
		if st, err := os.Stat(path); err == nil && now.Sub(st.ModTime()) <= lateAfter {
			s.allSent = now
		}
	}
}

// outputs returns the files to forward, in an order that stays the same. What was not sent before a
// group was removed is among them.
func (f *forwarder) outputs() (all []output) {
	for _, dir := range append(folders(f.cfg.LogDir), folders(filepath.Join(f.cfg.LogDir, layout.RemovedOutput))...) {
		group, _, _ := strings.Cut(filepath.Base(dir), "@")
		asked := wanted.Read(dir)
		for _, name := range slices.Sorted(maps.Keys(asked)) {
			if !asked[name].Journal {
				continue
			}
			out, err := source{group: group, container: name}, source{group, name, "stderr"}
			if asked[name].Split {
				out.stream = "stdout"
			}
			all = append(all, output{out, dir, name + ".log"}, output{err, dir, name + ".err.log"})
		}
	}
	return all
}

func (o output) path() string { return filepath.Join(o.dir, o.file) }

// folders returns the folders in a folder, without hidden ones.
func folders(dir string) (all []string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			all = append(all, filepath.Join(dir, e.Name()))
		}
	}
	return all
}
