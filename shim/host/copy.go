package host

import (
	"context"
	"io"
)

// A CopyRequest asks for a copy between the host and a running container, as a tar stream. One of
// In and Out is set.
type CopyRequest struct {
	Group, Container string
	Path             string    // in the container, from its root
	Whole            bool      // with In: Path is a folder, which gets all entries
	In               io.Reader // what goes into the container
	Out              io.Writer // what comes out of it
	// Skip is called for each file that is not copied, with the reason.
	Skip func(name, why string)
}

// A Copier copies files between the host and running containers. ctrd.Client implements it.
type Copier interface {
	Copy(ctx context.Context, req CopyRequest) error
}
