package api

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
)

// A copyBody asks for a copy. The tar stream is the standard input or output of the session, and
// each file that is not copied is a frame of its error output: its name, a zero byte, and why.
type copyBody struct {
	Group     string `json:"group"`
	Container string `json:"container"`
	Path      string `json:"path"`
	In        bool   `json:"in,omitempty"` // into the container
	Whole     bool   `json:"whole,omitempty"`
}

// Copy copies files between the host and a running container. The end of ctx ends it. What has been
// copied by then stays.
func (c *Client) Copy(ctx context.Context, req host.CopyRequest) error {
	if err := checkNames(req.Group, req.Container); err != nil {
		return err
	}
	r, err := c.send(ctx, http.MethodPost, "/v1/copy", copyBody{
		Group: req.Group, Container: req.Container, Path: req.Path, In: req.In != nil, Whole: req.Whole,
	}, http.StatusSwitchingProtocols)
	if err != nil {
		return err
	}
	session := &terminal{req: host.ExecRequest{Stdin: req.In, Stdout: req.Out, Stderr: skips(req.Skip)}, frames: &frameWriter{w: r.conn}, credit: newCredit(window)}
	end := session.start()
	_, done, err := session.read(r.in)
	r.close()
	end()
	if !done && err != nil {
		err = lost(ctx, err)
		if h := hint.Of(err); h != "" {
			err = &hint.Error{Err: err, Hint: "what was copied stays copied; copy again when the daemon is back"}
		}
	}
	return err
}

// skips is a writer for frames of files that are not copied.
type skips func(name, why string)

func (s skips) Write(frame []byte) (int, error) {
	name, why, _ := strings.Cut(string(frame), "\x00")
	s(name, why)
	return len(frame), nil
}

// copy upgrades the connection to a session of frames and copies in it.
func (s *Server) copy(w http.ResponseWriter, r *http.Request) {
	var body copyBody
	err := readJSON(r, &body)
	if err == nil {
		err = checkUpgrade(r, "copy")
	}
	if err == nil {
		err = checkNames(body.Group, body.Container)
	}
	if err == nil && body.Path == "" {
		err = &badRequest{errors.New("copy needs a path"), http.StatusBadRequest}
	}
	if err == nil && s.Copy == nil {
		err = errors.New("this daemon copies no files")
	}
	if err != nil {
		writeError(w, err)
		return
	}
	way := "out"
	if body.In {
		way = "in"
	}
	s.session(w, r, "copy "+way, body.Group, body.Container, body.Path, func(ctx context.Context, frames *frameWriter, k *keyboard) (uint32, error) {
		req := host.CopyRequest{
			Group: body.Group, Container: body.Container, Path: body.Path, Whole: body.Whole,
			Skip: func(name, why string) { _ = frames.write(frameStderr, []byte(name[:min(len(name), chunk)]+"\x00"+why)) },
		}
		if body.In {
			req.In = k.stdin
		} else {
			req.Out = output{frames, frameStdout}
		}
		return 0, s.Copy.Copy(ctx, req)
	})
}
