package disks

import (
	"context"
	"os"

	"golang.org/x/sys/unix"
)

const (
	// entriesAtOnce are read of a folder at once: it may have millions.
	entriesAtOnce = 256
	// maxDeep is how many folders deep a count goes. Each of them is open meanwhile.
	maxDeep = 256
)

// measure counts what a file or a folder takes, without the named folders, and without what is
// mounted below it. partial reports that there is more.
func measure(ctx context.Context, path string, without []string) (bytes, inodes uint64, partial bool) {
	return measureUpTo(ctx, maxEntries, path, without)
}

func measureUpTo(ctx context.Context, most uint64, path string, without []string) (bytes, inodes uint64, partial bool) {
	m := meter{ctx: ctx, most: most, without: map[fileID]bool{}}
	var st unix.Statx_t
	for _, path := range without {
		if attributes(unix.AT_FDCWD, path, &st) == nil {
			m.without[idOf(&st)] = true
		}
	}
	if attributes(unix.AT_FDCWD, path, &st) != nil {
		return 0, 0, false
	}
	m.mount = st.Mnt_id
	m.add(&st)
	if isFolder(&st) {
		m.folder(unix.AT_FDCWD, path, 1)
	}
	return m.bytes, m.inodes, m.partial
}

// A meter counts what is in a folder. It has one folder of each level open, and no list of folders
// or paths: containers choose how many there are, and how long.
type meter struct {
	ctx     context.Context
	most    uint64 // entries to be counted
	without map[fileID]bool
	// mount is the one that all of it is in. Its device would not do: on an overlayfs a file may
	// have another one than its folder, and so has a subvolume of a btrfs, which a container can
	// make.
	mount uint64

	bytes, inodes uint64
	partial       bool // there is more
}

// A fileID identifies a file.
type fileID struct {
	major, minor uint32
	ino          uint64
}

func idOf(st *unix.Statx_t) fileID { return fileID{st.Dev_major, st.Dev_minor, st.Ino} }

// folder counts the entries of a folder, which has a name in another one that is open. It reports
// whether the meter may go on.
func (m *meter) folder(parent int, name string, deep int) bool {
	if deep > maxDeep {
		m.partial = true
		return true
	}
	fd, err := unix.Openat(parent, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return true // removed or replaced meanwhile
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	for {
		names, err := f.Readdirnames(entriesAtOnce)
		for _, name := range names {
			if !m.entry(fd, name, deep) {
				return false
			}
		}
		if err != nil {
			return true // io.EOF, or what can't be read
		}
	}
}

// entry counts an entry of an open folder, with all that is below it.
func (m *meter) entry(folder int, name string, deep int) bool {
	if m.inodes == m.most || m.ctx.Err() != nil {
		m.partial = true
		return false
	}
	var st unix.Statx_t
	if attributes(folder, name, &st) != nil || st.Mnt_id != m.mount || m.without[idOf(&st)] {
		return true
	}
	m.add(&st)
	return !isFolder(&st) || m.folder(folder, name, deep+1)
}

func (m *meter) add(st *unix.Statx_t) {
	m.inodes++
	taken := st.Blocks * 512 // stx_blocks has this unit on every file system: statx(2)
	if !isFolder(st) {
		taken /= max(uint64(st.Nlink), 1) // each link of a file has its part
	}
	m.bytes += taken
}

func isFolder(st *unix.Statx_t) bool { return st.Mode&unix.S_IFMT == unix.S_IFDIR }

// attributes returns what a meter has to know of a file. It follows no link.
func attributes(folder int, name string, st *unix.Statx_t) error {
	const wanted = unix.STATX_TYPE | unix.STATX_NLINK | unix.STATX_INO | unix.STATX_BLOCKS | unix.STATX_MNT_ID
	return unix.Statx(folder, name, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT, wanted, st)
}
