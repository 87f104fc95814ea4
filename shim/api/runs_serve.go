package api

import (
	"errors"
	"net/http"

	"github.com/sallyport/sallyport/shim/group"
)

var errNotYet = errors.New("not yet")

func (s *Server) listRuns(*http.Request) (any, error) { return runsBody{[]group.Run{}}, nil }

func (s *Server) showRun(*http.Request) (any, error) { return nil, errNotYet }

func (s *Server) startRun(w http.ResponseWriter, _ *http.Request) { writeError(w, errNotYet) }
