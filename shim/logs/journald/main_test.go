package journald

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/logs/wanted"
)

// forwarding has the log folder and the socket for a process that a test kills.
const forwarding = "SALLYPORT_TEST_FORWARDING"

func TestMain(m *testing.M) {
	if dir, socket, ok := strings.Cut(os.Getenv(forwarding), ":"); ok {
		fmt.Println(Run(context.Background(), Config{LogDir: dir, Socket: socket, Every: time.Millisecond}))
		return
	}
	goleak.VerifyTestMain(m)
}

// A journal takes entries in the native protocol, as systemd's does.
type journal struct {
	t    *testing.T
	path string
	conn *net.UnixConn

	mu      sync.Mutex
	entries []map[string]string
	files   int // entries that came in a sealed file
}

// newJournal makes a journal whose socket is there. It takes nothing before take.
func newJournal(t *testing.T) *journal {
	t.Helper()
	dir, err := os.MkdirTemp("", "journal") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	j := &journal{t: t, path: filepath.Join(dir, "socket")}
	j.listen()
	return j
}

func (j *journal) listen() {
	j.t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: j.path, Net: "unixgram"})
	if err != nil {
		j.t.Fatal(err)
	}
	j.conn = conn
	j.t.Cleanup(func() { _ = conn.Close() })
}

// take takes entries until the test ends, or the journal goes away.
func (j *journal) take() {
	conn, done := j.conn, make(chan struct{})
	go func() {
		defer close(done)
		data, rights := make([]byte, 4<<20), make([]byte, 64)
		for {
			n, m, _, _, err := conn.ReadMsgUnix(data, rights)
			if err != nil {
				return
			}
			text, file := data[:n], 0
			if m > 0 {
				text, err = readSealed(rights[:m])
				if file = 1; err != nil {
					j.t.Error(err)
				}
			}
			entry, err := parseEntry(text)
			if err != nil {
				j.t.Error(err)
			}
			j.mu.Lock()
			j.entries, j.files = append(j.entries, entry), j.files+file
			j.mu.Unlock()
		}
	}()
	j.t.Cleanup(func() { _ = conn.Close(); <-done })
}

// leave removes the socket, as a journal that ends does.
func (j *journal) leave() {
	_ = j.conn.Close()
	_ = os.Remove(j.path)
}

// readSealed returns the content of a file that can't be changed any more.
func readSealed(rights []byte) ([]byte, error) {
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil {
		return nil, err
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fds[0]), "entry")
	defer f.Close()
	const want = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE | unix.F_SEAL_SEAL
	if seals, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0); err != nil || seals&want != want {
		return nil, fmt.Errorf("seals %#x: %v", seals, err)
	}
	return io.ReadAll(io.NewSectionReader(f, 0, 16<<20))
}

// parseEntry reads fields: NAME=value, or NAME, the length in 64 bits, and the value.
func parseEntry(b []byte) (map[string]string, error) {
	entry := map[string]string{}
	for len(b) > 0 {
		end := bytes.IndexByte(b, '\n')
		if end < 0 {
			return nil, errors.New("a field without an end")
		}
		if name, value, ok := bytes.Cut(b[:end], []byte{'='}); ok {
			entry[string(name)], b = string(value), b[end+1:]
			continue
		}
		name, rest := string(b[:end]), b[end+1:]
		if len(rest) < 8 {
			return nil, errors.New("a field without a length")
		}
		n := binary.LittleEndian.Uint64(rest)
		if rest = rest[8:]; uint64(len(rest)) < n+1 || rest[n] != '\n' {
			return nil, fmt.Errorf("field %s of %d bytes is cut", name, n)
		}
		entry[name], b = string(rest[:n]), rest[n+1:]
	}
	return entry, nil
}

// messages returns the messages of all entries so far.
func (j *journal) messages() (all []string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range j.entries {
		all = append(all, e["MESSAGE"])
	}
	return all
}

// count returns how many entries there are.
func (j *journal) count() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.entries)
}

// has reports whether the last entry has this message.
func (j *journal) has(last string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.entries) > 0 && j.entries[len(j.entries)-1]["MESSAGE"] == last
}

// until waits until the journal has what is wanted.
func (j *journal) until(what string, ok func() bool) {
	j.t.Helper()
	for end := time.Now().Add(60 * time.Second); !ok(); {
		if time.Now().After(end) {
			j.t.Fatalf("not within 60 s: %s; the journal has %d entries", what, j.count())
		}
		time.Sleep(time.Millisecond)
	}
}

// A folder is the folder of all output.
type folder struct {
	t   *testing.T
	dir string
}

func newFolder(t *testing.T, outputs map[string]wanted.Output) folder {
	t.Helper()
	f := folder{t, t.TempDir()}
	f.want("shop", outputs)
	return f
}

func (f folder) want(group string, outputs map[string]wanted.Output) {
	f.t.Helper()
	if err := wanted.Write(filepath.Join(f.dir, group), outputs); err != nil {
		f.t.Fatal(err)
	}
}

func (f folder) path(group, file string) string { return filepath.Join(f.dir, group, file) }

// print appends to an output file, as containerd's shim does.
func (f folder) print(group, file, text string) {
	f.t.Helper()
	out, err := os.OpenFile(f.path(group, file), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		f.t.Fatal(err)
	}
	defer out.Close()
	if _, err := out.WriteString(text); err != nil {
		f.t.Fatal(err)
	}
}

// run forwards until the returned function is called.
func (f folder) run(j *journal) (end func()) { return f.runOn(j, nil) }

// runOn is run with the channel of changes.
func (f folder) runOn(j *journal, changed <-chan struct{}) (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, Config{LogDir: f.dir, Socket: j.path, Every: time.Millisecond, Unended: 50 * time.Millisecond, Changed: changed})
	}()
	var once sync.Once
	end = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				f.t.Error(err)
			}
		})
	}
	f.t.Cleanup(end)
	return end
}
