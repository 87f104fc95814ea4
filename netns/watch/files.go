package watch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// folderMask has the events that are heard of a folder, see inotify(7). procfs and cgroupfs report
// what processes do to their files and folders.
const folderMask = unix.IN_CREATE | unix.IN_DELETE | unix.IN_DELETE_SELF | unix.IN_ONLYDIR

// Paths makes these the folders and the file that are watched under a name, instead of earlier
// ones. A folder is watched for what is made or removed in it, the file for what is written to it.
// Folders that don't exist are left out, and returned. A nil file stands for that of the last
// call. The Watcher keeps the file open, so that the kernel does not drop what stands for it, and
// closes it when it is no longer watched.
func (w *Watcher) Paths(name string, folders []string, file *os.File) (missing []string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.paths[name]
	now := &watched{file: file, fileWatch: -1}
	if file == nil && before != nil {
		now.file = before.file
	}
	w.paths[name] = now
	for _, path := range folders {
		wd, addErr := w.watch(watch{Files, name}, path, folderMask)
		if errors.Is(addErr, fs.ErrNotExist) {
			missing = append(missing, path)
			continue
		}
		if err = errors.Join(err, addErr); addErr == nil {
			now.folders = append(now.folders, wd)
		}
	}
	if now.file != nil {
		wd, addErr := w.watch(watch{Files, name}, fmt.Sprintf("/proc/self/fd/%d", now.file.Fd()), unix.IN_MODIFY)
		now.fileWatch, err = wd, errors.Join(err, addErr)
	}
	w.end(before, now)
	return missing, err
}

// errUnwatched is the error for a name without a namespace.
var errUnwatched = errors.New("its namespace is not watched")

// Written makes these the files whose writes are heard under a name, instead of earlier ones, as
// long as a namespace is watched under that name. Those that don't exist are left out, and
// returned. If it fails, nothing is heard.
func (w *Watcher) Written(name string, files []string) (missing []string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.numbers[name]; !ok { // what watches that ends this too, so nothing stays behind
		return nil, errUnwatched
	}
	var now []int
	for _, path := range files {
		wd, addErr := w.watch(watch{Written, name}, path, unix.IN_MODIFY)
		switch {
		case errors.Is(addErr, fs.ErrNotExist):
			missing = append(missing, path)
		case addErr != nil:
			err = errors.Join(err, addErr)
		default:
			now = append(now, wd)
		}
	}
	w.endAll(slices.DeleteFunc(w.written[name], func(wd int) bool { return slices.Contains(now, wd) }))
	if w.written[name] = now; err != nil {
		w.endAll(now)
		delete(w.written, name)
	}
	return missing, err
}

// HearsWrites reports whether the files of the last call of Written for a name are heard.
func (w *Watcher) HearsWrites(name string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, ok := w.written[name]
	return ok
}

// A watch is one of inotify's.
type watch struct {
	kind Kind // Files or Written
	name string
}

// watch begins one watch. A second one of the same file or folder is the same watch.
func (w *Watcher) watch(x watch, path string, mask uint32) (int, error) {
	wd, err := unix.InotifyAddWatch(w.inotify, path, mask)
	if err != nil {
		return -1, fmt.Errorf("watch %q: %w", path, err)
	}
	w.watches[wd] = x
	return wd, nil
}

// A watched has the files and folders that inotify watches under one name.
type watched struct {
	folders   []int // inotify's descriptors
	file      *os.File
	fileWatch int // -1: none
}

func (x *watched) all() []int { return append(slices.Clip(x.folders), x.fileWatch) }

// end ends the watches of before that are not in now. Each may be nil. The caller holds mu.
func (w *Watcher) end(before, now *watched) {
	if before == nil {
		return
	}
	var kept []int
	if now != nil {
		kept = now.all()
	}
	for _, wd := range before.all() {
		if !slices.Contains(kept, wd) {
			w.forgetPath(wd)
		}
	}
	if before.file != nil && (now == nil || now.file != before.file) {
		before.file.Close()
	}
}

// endAll ends watches. The caller holds mu.
func (w *Watcher) endAll(watches []int) {
	for _, wd := range watches {
		w.forgetPath(wd)
	}
}

// forgetPath ends one watch. The caller holds mu.
func (w *Watcher) forgetPath(wd int) {
	if _, ok := w.watches[wd]; !ok {
		return // the kernel has ended it
	}
	delete(w.watches, wd)
	_, _ = unix.InotifyRmWatch(w.inotify, uint32(wd))
}

// readFiles reads the events of inotify.
func (w *Watcher) readFiles(fd int, add func(Event)) (lost bool) {
	buf := make([]byte, 64<<10)
	for range mostRead {
		n, err := unix.Read(fd, buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n <= 0 {
			return lost
		}
		for b := buf[:n]; len(b) >= unix.SizeofInotifyEvent; {
			wd, mask := int(int32(binary.NativeEndian.Uint32(b))), binary.NativeEndian.Uint32(b[4:])
			lost = lost || mask&unix.IN_Q_OVERFLOW != 0
			if x := w.watchOf(wd, mask&unix.IN_IGNORED != 0); x.name != "" {
				add(Event{Kind: x.kind, Name: x.name})
			}
			b = b[min(unix.SizeofInotifyEvent+int(binary.NativeEndian.Uint32(b[12:])), len(b)):]
		}
	}
	return lost
}

// watchOf returns a watch. The zero watch is not known any more. An ended watch is forgotten: its
// number is not used again.
func (w *Watcher) watchOf(wd int, ended bool) watch {
	w.mu.Lock()
	defer w.mu.Unlock()
	x := w.watches[wd]
	if ended {
		delete(w.watches, wd)
	}
	return x
}
