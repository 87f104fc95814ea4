package host

// A Disk is a file system that has folders of the instance. The JSON crosses the control socket.
type Disk struct {
	Path       string `json:"path"` // one of the folders
	Size       uint64 `json:"size"` // bytes
	Free       uint64 `json:"free"` // bytes that others than root can use
	Inodes     uint64 `json:"inodes,omitempty"`
	FreeInodes uint64 `json:"free_inodes,omitempty"`
	Full       bool   `json:"full,omitempty"` // it lacks bytes or inodes
	// Consumers has what takes most of it, the largest first. It is empty if the disk is not full.
	Consumers []Consumer `json:"consumers,omitempty"`
}

// scarce is how many free bytes are enough on a disk of any size.
const scarce = 1 << 30

// LacksBytes reports whether less than 1 % and less than 1 GiB is free.
func (d Disk) LacksBytes() bool { return d.Free < d.Size/100 && d.Free < scarce }

// LacksInodes reports whether less than 1 % of the inodes are free. Some file systems have no fixed
// number of them.
func (d Disk) LacksInodes() bool { return d.Inodes > 0 && d.FreeInodes < d.Inodes/100 }

// FewFiles reports whether a disk is full because it lacks inodes alone.
func (d Disk) FewFiles() bool { return d.LacksInodes() && !d.LacksBytes() }

// A Consumer is something on a disk that takes space.
type Consumer struct {
	Kind      ConsumerKind `json:"kind"`
	Group     string       `json:"group,omitempty"`
	Container string       `json:"container,omitempty"` // of a layer, or of output
	Volume    string       `json:"volume,omitempty"`
	Image     string       `json:"image,omitempty"` // of a layer: the digest of its container's image
	Path      string       `json:"path"`
	Bytes     uint64       `json:"bytes"`             // allocated on the disk
	Inodes    uint64       `json:"inodes"`            // files and folders
	Partial   bool         `json:"partial,omitempty"` // it has more: counting all would take too long
	Removed   bool         `json:"removed,omitempty"` // its group is removed; only in a [Usage] for all but output
}

// A ConsumerKind is a kind of Consumer.
type ConsumerKind string

const (
	LayerConsumer   ConsumerKind = "layer"  // what a container has written to its root filesystem
	OutputConsumer  ConsumerKind = "output" // what a container has printed
	VolumeConsumer  ConsumerKind = "volume" // a persistent volume
	RuntimeConsumer ConsumerKind = "images" // containerd's folder but for the layers: images above all
	StateConsumer   ConsumerKind = "state"  // the daemon's own files
	MemoryConsumer  ConsumerKind = "memory" // a volume in memory; only in a [Usage], and on no disk
)

// A Layer is the writable layer of a container.
type Layer struct {
	Group, Container string
	Path             string
	Work             string // the folder in which overlayfs prepares files; empty without overlayfs
	Image            string // the digest of the container's image
}
