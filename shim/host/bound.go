package host

import (
	"fmt"
	"time"

	"github.com/sallyport/sallyport/spec"
)

// A Bound is a bound on disk that a group file has: of a container's root file system, or of a
// persistent volume. Its JSON crosses the control socket, and is kept with how a group has ended.
type Bound struct {
	Container string `json:"container,omitempty"` // whose root file system; else
	Volume    string `json:"volume,omitempty"`
	Path      string `json:"path"`            // the folder that holds what counts
	Size      int64  `json:"size"`            // bytes
	Used      int64  `json:"used"`            // bytes
	Files     int64  `json:"files,omitempty"` // and folders
	Hard      bool   `json:"hard,omitempty"`  // the kernel refuses more
	// Soft is why the kernel doesn't. It is empty for a hard bound.
	Soft    string `json:"soft,omitempty"`
	Partial bool   `json:"partial,omitempty"` // there is more: counting all would take too long
	// At is when Used was counted. Two looks may have one count.
	At time.Time `json:"at,omitzero"`
}

// fileSize is the part of a bound that allows one more file. Without a limit on files, empty ones
// would use up the inodes of an ext4.
const fileSize = 4 << 10

// MaxFiles returns how many files and folders a bound of so many bytes allows.
func MaxFiles(bytes int64) int64 { return bytes/fileSize + 1024 }

// Passed reports whether more is there than the bound allows.
func (b Bound) Passed() bool { return b.Used > b.Size || b.tooManyFiles() }

func (b Bound) tooManyFiles() bool { return b.Files > MaxFiles(b.Size) }

// Percent returns how full it is, by bytes or by files, whichever is more.
func (b Bound) Percent() int64 {
	return max(percent(b.Used, b.Size), percent(b.Files, MaxFiles(b.Size)))
}

func percent(of, whole int64) int64 { return int64(100 * float64(of) / float64(max(whole, 1))) }

// Title returns what the bound is of: "disk of web", "volume data".
func (b Bound) Title() string {
	if b.Container != "" {
		return "disk of " + b.Container
	}
	return "volume " + b.Volume
}

// String returns the bound, its kind and how full it is: "volume data: 512MiB of 1GiB (50 %),
// hard".
func (b Bound) String() string {
	kind := "hard"
	if !b.Hard {
		kind = "soft: " + b.Soft
	}
	return fmt.Sprintf("%s: %s of %s (%d %%), %s", b.Title(), b.amount(), spec.FormatSize(b.Size), b.Percent(), kind)
}

func (b Bound) amount() string {
	text := spec.FormatSize(b.Used)
	if b.tooManyFiles() {
		text += fmt.Sprintf(" in %d files (allowed are %d)", b.Files, MaxFiles(b.Size))
	}
	if b.Partial {
		text = "at least " + text
	}
	return text
}

// PassedText describes a bound that was passed.
func (b Bound) PassedText() string {
	has := fmt.Sprintf("volume %s holds %s", b.Volume, b.amount())
	if b.Container != "" {
		has = fmt.Sprintf("%s has written %s outside of volumes", b.Container, b.amount())
	}
	return fmt.Sprintf("%s, and its bound is %s", has, spec.FormatSize(b.Size))
}
