package volumes

import (
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/moby/sys/mountinfo"
)

// A mountList reads the list of the host's mounts for several groups at once. It has lines for each
// container of the host, so with a read for each group a look at all groups took the square of
// their number. A read is for all who have asked before it began. It counts for no one else: the
// list changes without an event of the kernel when a mounted folder is renamed.
type mountList struct {
	mu    sync.Mutex
	began time.Time
	root  string                       // the folder that the mounts are below
	byDir map[string][]*mountinfo.Info // by the folder of their mount points
	err   error
	reads int // for tests
}

// in returns the mounts in a folder, in the order of the list. The caller changes none of them.
func (l *mountList) in(dir string) ([]*mountinfo.Info, error) { return l.since(time.Now(), dir) }

// since is in for one who has asked at a time.
func (l *mountList) since(asked time.Time, dir string) ([]*mountinfo.Info, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if root := filepath.Dir(dir); root != l.root || !l.began.After(asked) {
		l.root, l.began = root, time.Now()
		l.read()
	}
	return l.byDir[dir], l.err
}

func (l *mountList) read() {
	l.reads++
	l.byDir = map[string][]*mountinfo.Info{}
	below := strings.TrimSuffix(l.root, "/") + "/"
	var infos []*mountinfo.Info
	infos, l.err = mountinfo.GetMounts(func(i *mountinfo.Info) (skip, stop bool) { return !strings.HasPrefix(i.Mountpoint, below), false })
	for _, i := range infos {
		dir := filepath.Dir(i.Mountpoint)
		l.byDir[dir] = append(l.byDir[dir], i)
	}
}
