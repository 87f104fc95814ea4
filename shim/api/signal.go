package api

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/sallyport/sallyport/shim/host"
)

// A SignalRequest asks for a signal to the program of a running container.
type SignalRequest struct {
	Group, Container string
	Signal           int
	Caller           Caller // set by the server
}

// A SentSignal is a signal that was sent. The command prints its JSON, too.
type SentSignal struct {
	Group     string `json:"group"`
	Container string `json:"container"`
	Signal    string `json:"signal"` // such as SIGHUP
	Number    int    `json:"number"`
	// Dropped is true if the program has no handler for the signal. It is process 1 of its
	// container, so the kernel drops such a signal (pid_namespaces(7)).
	Dropped bool `json:"dropped"`
}

// A Caller is the user of a request, as the kernel has it. The zero value is unknown.
type Caller struct {
	UID   uint32
	Known bool
}

func (c Caller) String() string {
	if !c.Known {
		return "an unknown user"
	}
	return "uid " + strconv.FormatUint(uint64(c.UID), 10)
}

// Signal sends a signal to the program of a running container.
func (c *Client) Signal(ctx context.Context, group, container string, signal int) (sent SentSignal, err error) {
	if err := checkNames(group, container); err != nil {
		return sent, err
	}
	query := url.Values{"container": {container}, "signal": {strconv.Itoa(signal)}}
	err = c.ask(ctx, http.MethodPost, groupPath(group)+"/signal?"+query.Encode(), nil, &sent)
	return sent, err
}

func (s *Server) signal(r *http.Request) (any, error) {
	req := SignalRequest{Group: r.PathValue("group"), Container: r.FormValue("container"), Caller: callerOf(r)}
	if err := checkNames(req.Group, req.Container); err != nil {
		return nil, err
	}
	var err error
	if req.Signal, err = host.ParseSignal(r.FormValue("signal")); err != nil {
		return nil, &badRequest{err, http.StatusBadRequest}
	}
	if s.Signal == nil {
		return nil, fmt.Errorf("this daemon sends no signals")
	}
	sent := SentSignal{Group: req.Group, Container: req.Container, Signal: host.SignalName(req.Signal), Number: req.Signal}
	sent.Dropped, err = s.Signal(r.Context(), req)
	return sent, about(err, req.Group, req.Container)
}
