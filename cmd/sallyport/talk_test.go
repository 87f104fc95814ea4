package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sallyport/sallyport/shim"
	"github.com/sallyport/sallyport/shim/api"
)

// TestTalk runs the scripts that need a daemon to talk to. What answers is the real server of the control socket; behind it
// stands a stage that knows two groups and writes down what it is told.
func TestTalk(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           filepath.Join("testdata", "talk"),
		UpdateScripts: *update,
		Cmds:          map[string]func(*testscript.TestScript, bool, []string){"status": status, "interrupted": interruptedOnce},
		Setup: func(env *testscript.Env) error {
			// A socket's path is short, and the work folder's may not be.
			run, err := os.MkdirTemp("", "sp")
			if err != nil {
				return err
			}
			env.Defer(func() { os.RemoveAll(run) })
			env.Setenv("SALLYPORT_RUN_DIR", run)
			return serve(env, filepath.Join(run, "sallyport.sock"), filepath.Join(env.WorkDir, "told"))
		},
	})
}

func serve(env *testscript.Env, socket, told string) error {
	s := &stage{told: told}
	server, err := api.NewServer(api.ServerConfig{Keeper: s, Exec: s, Logs: s.logs, Events: eventSource(s.events, s.Status), Version: api.VersionInfo{Version: "stage"}})
	if err != nil {
		return err
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, l) }()
	env.Defer(func() {
		cancel()
		if err := <-done; err != nil {
			env.T().Fatal("serve: ", err)
		}
	})
	return nil
}

// A stage plays a daemon's keeper and containerd. Each call that would change something becomes a line of the file told.
type stage struct {
	told string
	back atomic.Int32 // generations that were made by going back
}

func (s *stage) tell(format string, args ...any) error {
	f, err := os.OpenFile(s.told, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, format+"\n", args...)
	return errors.Join(err, f.Close())
}

func (s *stage) Problems() []shim.FileProblem {
	return []shim.FileProblem{{Path: "/groups.d/hand.hcl", Err: errors.New("hand.hcl:1,1-9: nonsense")}}
}

func bundlesText(files []shim.Bundle) string {
	var words []string
	for _, f := range files {
		words = append(words, fmt.Sprintf("%s vars=%v files=%d absolute=%v", f.Name, f.Vars, len(f.Files), filepath.IsAbs(f.Path)))
	}
	return strings.Join(words, ", ")
}

func (s *stage) Preview(_ context.Context, files []shim.Bundle) ([]shim.Preview, error) {
	if err := s.tell("preview %s", bundlesText(files)); err != nil {
		return nil, err
	}
	return []shim.Preview{{Group: "checkout", Steps: []string{"start web (app)"}, Opens: []string{"proxy may reach 203.0.113.0/24:443/tcp"}}}, nil
}

func (s *stage) Apply(_ context.Context, files []shim.Bundle, progress func(string)) error {
	if strings.Contains(string(files[0].HCL), "nowhere") {
		return &shim.Problem{Err: errors.New("image \"nowhere:1\": not found"), Hint: "look at its name"}
	}
	progress("checkout: start proxy (ambassador)")
	progress("checkout: start web (app)")
	return s.tell("apply %s", bundlesText(files))
}

func (s *stage) Remove(_ context.Context, group string, progress func(string)) error {
	progress(group + ": stop web (app)")
	return s.tell("remove %s", group)
}

func (s *stage) Purge(_ context.Context, group string, progress func(string)) error {
	progress(group + ": delete its persistent volumes")
	return s.tell("purge %s", group)
}

func (s *stage) RemoveFile(_ context.Context, file string, volumes bool, progress func(string)) error {
	progress("checkout: stop web (app)")
	return s.tell("remove %s, volumes %v", file, volumes)
}

func (s *stage) Restart(_ context.Context, group, container string, progress func(string)) error {
	progress(group + ": stop")
	return s.tell("restart %q %q", group, container)
}

// Rollback goes back to a generation that does not prove itself, if it is the first.
func (s *stage) Rollback(_ context.Context, group string, to int, progress func(string)) error {
	progress(fmt.Sprintf("%s: back to generation %d", group, to))
	if err := s.tell("rollback %s %d", group, to); err != nil || to != 1 {
		if to != checkout.Generation+int(s.back.Load()) { // that one is wanted already
			s.back.Add(1)
		}
		return err
	}
	return &shim.Problem{Err: errors.New("group checkout: generation 4 not ready within 1m0s"), Hint: "see its log"}
}

// Wait knows one job, which fails, and one that goes on for ever.
func (s *stage) Wait(ctx context.Context, group string) (uint32, error) {
	switch group {
	case "sealed":
		return 3, nil
	case "checkout":
		<-ctx.Done()
		return 0, ctx.Err()
	}
	return 0, fmt.Errorf("group %q: %w", group, shim.ErrNoGroup)
}

func (s *stage) History(_ context.Context, group string) ([]shim.Generation, error) {
	return generations, nil
}

func (s *stage) Definition(_ context.Context, group string, number int) (shim.Definition, error) {
	if number != 2 {
		return shim.Definition{}, shim.ErrNoGeneration
	}
	return shim.Definition{Bundle: shim.Bundle{Name: "checkout.hcl", HCL: []byte("group \"checkout\" {}\n")}}, nil
}

func (s *stage) Stop(_ context.Context, group string, progress func(string)) error {
	progress(group + ": stop web (app), grace 10s")
	return s.tell("stop %s", group)
}

func (s *stage) Start(_ context.Context, group string, progress func(string)) error {
	progress(group + ": start web (app)")
	return s.tell("start %s", group)
}

func (s *stage) Status(group string) ([]shim.GroupStatus, error) {
	now := checkout
	now.Generation += int(s.back.Load())
	all := []shim.GroupStatus{now, {Name: "sealed", State: shim.Degraded, Egress: "none", Error: "web ended", Hint: "see its log"}}
	for _, g := range all {
		if g.Name == group {
			return []shim.GroupStatus{g}, nil
		}
	}
	if group != "" {
		return nil, fmt.Errorf("group %q: %w", group, shim.ErrNoGroup)
	}
	return all, nil
}

func (s *stage) logs(_ context.Context, req api.LogRequest, emit func(container, line string) error) error {
	if err := s.tell("logs %s %v follow=%v tail=%d", req.Group, req.Containers, req.Follow, req.Tail); err != nil {
		return err
	}
	if len(req.Containers) == 0 {
		return errors.Join(emit("proxy", "ready"), emit("web", "hello"))
	}
	return emit(req.Containers[0], "hello")
}

// events are those of two groups, and of one that is gone. A stage that is followed has nothing to add, and waits.
func (s *stage) events(ctx context.Context, q shim.EventQuery, emit func(shim.Event) error) error {
	if err := s.tell("events %q %v follow=%v tail=%d", q.Group, q.Kinds, q.Follow, q.Tail); err != nil {
		return err
	}
	for _, e := range happened {
		if (q.Group == "" || q.Group == e.Group) && (len(q.Kinds) == 0 || slices.Contains(q.Kinds, e.Kind)) {
			if err := emit(e); err != nil {
				return err
			}
		}
	}
	if q.Follow {
		<-ctx.Done()
	}
	return nil
}

// Exec plays three programs: one that copies its input, one that complains, and any other, which shows what it was run as.
func (s *stage) Exec(_ context.Context, req shim.ExecRequest) (uint32, error) {
	switch req.Args[0] {
	case "cat":
		_, err := io.Copy(req.Stdout, req.Stdin)
		return 0, err
	case "complain":
		_, err := fmt.Fprintln(req.Stderr, "I won't")
		return 7, err
	}
	_, err := fmt.Fprintf(req.Stdout, "%s.%s %q tty=%v stdin=%v\n", req.Group, req.Container, req.Args, req.TTY, req.Stdin != nil)
	return 0, err
}
