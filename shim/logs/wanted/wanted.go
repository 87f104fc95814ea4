// Package wanted has what a group's file asks for its containers' output. The daemon writes it into
// the group's log folder. What bounds and forwards the output reads it there, also while no daemon
// runs.
package wanted

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/disk"
)

const (
	// FileName is the name of the file in a group's log folder.
	FileName = ".output.json"

	version = 1
	maxSize = 1 << 20 // bytes of the file
)

// An Output has the wishes of one container. The zero value is a container without any.
type Output struct {
	Size    int64 `json:"size,omitempty"` // bytes to keep; 0: the daemon's default
	Journal bool  `json:"journal,omitempty"`
	Split   bool  `json:"split,omitempty"`
}

// A file is the content of the file.
type file struct {
	Version    int               `json:"version"`
	Containers map[string]Output `json:"containers"`
}

// Write writes what is asked for, by container, into a group's log folder, and makes the folder.
// What is there already is not written again: a full disk may have no room for it.
//
// A container that the group no longer has keeps what it has asked for while its output is there:
// it may still be printing its last lines, and the journal may not have them yet.
func Write(dir string, outputs map[string]Output) error {
	outputs = maps.Clone(outputs)
	there, unread := read(dir)
	for name, asked := range decode(there) {
		if _, has := outputs[name]; has || asked == (Output{}) {
			continue
		}
		if _, err := os.Lstat(filepath.Join(dir, name+".log")); err == nil {
			outputs[name] = asked
		}
	}
	text, err := json.Marshal(file{version, outputs})
	if err != nil {
		return err
	}
	text = append(text, '\n')
	if unread == nil && bytes.Equal(there, text) {
		return nil
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	// A power cut may lose it. The daemon writes it again before containers start.
	return disk.Disk{}.WriteUnsynced(filepath.Join(dir, FileName), text)
}

// Read returns what was written last into a group's log folder. A container that is not in it asks
// for nothing. Nothing that can be read is nothing that is asked for.
func Read(dir string) map[string]Output {
	text, _ := read(dir)
	return decode(text)
}

// decode returns what a file's text asks for. A text that is not understood asks for nothing.
func decode(text []byte) map[string]Output {
	var f file
	if json.Unmarshal(text, &f) != nil || f.Version != version {
		return nil
	}
	return f.Containers
}

// read reads the file, if it is a plain one of a sensible size. It is read for each group twice a
// minute, so it makes four system calls, and asks the runtime's poller nothing.
func read(dir string) ([]byte, error) {
	path := filepath.Join(dir, FileName)
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || st.Size > maxSize {
		return nil, errors.Join(err, fs.ErrInvalid)
	}
	text := make([]byte, st.Size)
	n, err := unix.Read(fd, text)
	if err != nil || n < len(text) {
		return nil, &fs.PathError{Op: "read", Path: path, Err: cmp.Or(err, io.ErrUnexpectedEOF)}
	}
	return text, nil
}
