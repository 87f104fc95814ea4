package host

import "context"

// A Transfer is how far it is to make an image present on the host. Its JSON is part of the control
// socket's protocol.
type Transfer struct {
	Image string        `json:"image"` // as the group file has it
	Stage TransferStage `json:"stage"`
	// Done and Total are the bytes of the image that are on the host, and of all of it. They are as
	// packed. A Total of 0 means that it is not known yet.
	Done  int64 `json:"done,omitempty"`
	Total int64 `json:"total,omitempty"`
	// Milliseconds is the time since the transfer began.
	Milliseconds int64 `json:"ms,omitempty"`
	// Ended is set in the last Transfer of an image, which is then present. Its Stage is the one
	// that the transfer began with. It is empty if the image turned out to be present before.
	Ended bool `json:"ended,omitempty"`
}

// A TransferStage names the work that is done at present.
type TransferStage string

const (
	Pulling   TransferStage = "pull"   // from a registry
	Importing TransferStage = "import" // from an archive
	Unpacking TransferStage = "unpack" // after both of them. It shows no bytes
)

type transfersKey struct{}

// WithTransfers returns a context whose calls report the transfers that they wait for, as
// [net/http/httptrace] does for requests. A call reports a few times a second at most. Several
// calls may do so at the same time.
func WithTransfers(ctx context.Context, report func(Transfer)) context.Context {
	return context.WithValue(ctx, transfersKey{}, report)
}

// Transfers returns the function given to [WithTransfers]. It is nil if there is none.
func Transfers(ctx context.Context) func(Transfer) {
	report, _ := ctx.Value(transfersKey{}).(func(Transfer))
	return report
}
