package ctrd

import (
	"context"
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	containersapi "github.com/containerd/containerd/api/services/containers/v1"
	eventsapi "github.com/containerd/containerd/api/services/events/v1"
	leasesapi "github.com/containerd/containerd/api/services/leases/v1"
	"github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/api/types/task"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sallyport/sallyport/shim/ctrd/ctrdtest"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/layout"
)

// A countedServer is a containerd of so many groups with one running container each. It counts the
// calls by method.
type countedServer struct {
	groups   int
	hold     chan struct{} // the first call of a list waits until it is closed
	held     chan struct{} // closed when that waits
	tasksErr error         // of each list of tasks
	process  *task.Process // of each task. Nil: one that runs
	events   chan any      // each is sent to a subscriber

	mu     sync.Mutex
	calls  map[string]int
	waited bool // a call has waited for hold
}

// serveCounted starts a server and returns a client of it.
func serveCounted(t *testing.T, groups int) (*countedServer, *Client) {
	t.Helper()
	s := &countedServer{groups: groups, hold: make(chan struct{}), held: make(chan struct{}), calls: map[string]int{}, events: make(chan any)}
	dir := ctrdtest.ShortDir(t)
	socket := filepath.Join(dir, "containerd.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	count := func(method string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.calls[method[strings.LastIndexByte(method, '.')+1:]]++
	}
	rpc := grpc.NewServer(
		grpc.UnaryInterceptor(func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			count(info.FullMethod)
			return next(ctx, req)
		}),
		grpc.StreamInterceptor(func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			count(info.FullMethod)
			return next(srv, stream)
		}))
	containersapi.RegisterContainersServer(rpc, countedContainers{countedServer: s})
	tasks.RegisterTasksServer(rpc, countedTasks{countedServer: s})
	eventsapi.RegisterEventsServer(rpc, countedEvents{countedServer: s})
	leasesapi.RegisterLeasesServer(rpc, countedLeases{countedServer: s})
	var serving sync.WaitGroup
	serving.Go(func() { _ = rpc.Serve(listener) })
	c, err := New(Config{Address: socket, Layout: layout.Layout{RunDir: dir, Namespace: "test"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		rpc.Stop()
		serving.Wait()
	})
	return s, c
}

type countedContainers struct {
	containersapi.UnimplementedContainersServer
	*countedServer
}

type countedTasks struct {
	tasks.UnimplementedTasksServer
	*countedServer
}

type countedLeases struct {
	leasesapi.UnimplementedLeasesServer
	*countedServer
}

func groupName(n int) string { return fmt.Sprintf("g%d", n) }

// ListStream serves the list of containers. It understands the filters that the client makes.
func (s countedContainers) ListStream(req *containersapi.ListContainersRequest, stream containersapi.Containers_ListStreamServer) error {
	s.waitHeld()
	for n := range s.groups {
		name := groupName(n)
		matches := false
		for _, f := range req.Filters {
			_, value, named := strings.Cut(f, "==")
			matches = matches || !named || value == `"`+name+`"`
		}
		if !matches {
			continue
		}
		if err := stream.Send(&containersapi.ListContainerMessage{Container: &containersapi.Container{
			ID: name + ".app", Labels: map[string]string{labelGroup: name, labelName: "app"},
		}}); err != nil {
			return err
		}
	}
	return nil
}

// Get serves one container.
func (s countedContainers) Get(_ context.Context, req *containersapi.GetContainerRequest) (*containersapi.GetContainerResponse, error) {
	for n := range s.groups {
		if name := groupName(n); req.ID == name+".app" {
			return &containersapi.GetContainerResponse{Container: &containersapi.Container{
				ID: req.ID, Labels: map[string]string{labelGroup: name, labelName: "app"},
			}}, nil
		}
	}
	return nil, status.Error(codes.NotFound, "no such container")
}

func running(id string) *task.Process {
	return &task.Process{ID: id, Status: task.Status_RUNNING, Pid: 7}
}

func (s countedTasks) Get(_ context.Context, req *tasks.GetRequest) (*tasks.GetResponse, error) {
	if s.process != nil {
		return &tasks.GetResponse{Process: s.process}, nil
	}
	return &tasks.GetResponse{Process: running(req.ContainerID)}, nil
}

func (s countedTasks) List(_ context.Context, _ *tasks.ListTasksRequest) (*tasks.ListTasksResponse, error) {
	if s.tasksErr != nil {
		return nil, s.tasksErr
	}
	out := &tasks.ListTasksResponse{}
	for n := range s.groups {
		out.Tasks = append(out.Tasks, running(groupName(n)+".app"))
	}
	return out, nil
}

func (s countedLeases) List(context.Context, *leasesapi.ListRequest) (*leasesapi.ListResponse, error) {
	s.waitHeld()
	out := &leasesapi.ListResponse{}
	for n := range s.groups {
		name := groupName(n)
		out.Leases = append(out.Leases, &leasesapi.Lease{ID: leaseID(name, 1), Labels: map[string]string{labelGroup: name, labelGeneration: "1"}})
	}
	return out, nil
}

// waitHeld makes the first call of a list wait.
func (s *countedServer) waitHeld() {
	s.mu.Lock()
	first := !s.waited
	s.waited = true
	s.mu.Unlock()
	if first {
		close(s.held)
		<-s.hold
	}
}

// counted returns the calls so far, and counts anew.
func (s *countedServer) counted() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := maps.Clone(s.calls)
	clear(s.calls)
	return calls
}

// awaitGathered returns when so many questions wait for the next call.
func awaitGathered[K comparable, V any](s *sharedAsk[K, V], questions int) {
	for {
		s.mu.Lock()
		n := 0
		if s.gathered != nil {
			n = len(s.gathered.questions)
		}
		s.mu.Unlock()
		if n == questions {
			return
		}
		runtime.Gosched()
	}
}

// observeAll observes each group at the same time, while an earlier list is under way.
func (s *countedServer) observeAll(t *testing.T, c *Client) {
	t.Helper()
	var all sync.WaitGroup
	observe := func(n int) {
		name := groupName(n)
		states, err := c.Observe(t.Context(), name)
		want := []host.ContainerState{{Group: name, Name: "app", Task: host.TaskRunning, PID: 7}}
		if diff := cmp.Diff(want, states, cmpopts.IgnoreFields(host.ContainerState{}, "CreatedAt")); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
	all.Go(func() { observe(0) })
	<-s.held
	for n := range s.groups {
		all.Go(func() { observe(n) })
	}
	awaitGathered(&c.listings, s.groups)
	close(s.hold)
	all.Wait()
}

// All groups at once cost as many calls as the few that are under way and one list of everything.
// Some groups have their tasks asked for one by one, because a list of all tasks asks every shim.
func TestObserveSharesLists(t *testing.T) {
	for name, test := range map[string]struct {
		groups   int
		tasksErr error
		want     map[string]int
	}{
		"one":          {1, nil, map[string]int{"Containers/ListStream": 2, "Tasks/Get": 2}},
		"few":          {mostFilters, nil, map[string]int{"Containers/ListStream": 2, "Tasks/Get": mostFilters + 1}},
		"many":         {500, nil, map[string]int{"Containers/ListStream": 2, "Tasks/List": 1, "Tasks/Get": 1}},
		"a shim hangs": {100, status.Error(codes.DeadlineExceeded, "slow"), map[string]int{"Containers/ListStream": 2, "Tasks/List": 1, "Tasks/Get": 101}},
	} {
		t.Run(name, func(t *testing.T) {
			s, c := serveCounted(t, test.groups)
			s.tasksErr = test.tasksErr
			s.observeAll(t, c)
			if diff := cmp.Diff(test.want, s.counted()); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
		})
	}
}

// Some groups of many are named in their list, so that it has no others.
func TestObserveNamesFewOfMany(t *testing.T) {
	const groups, few = 1000, 100
	s, c := serveCounted(t, groups)
	close(s.hold)
	var names []string
	for n := range groups {
		names = append(names, groupName(n))
	}
	for _, asked := range [][]string{names, names[:few], names[:groups/2]} {
		l, err := c.list(t.Context(), asked)
		if err != nil {
			t.Fatal(err)
		}
		many := len(asked) > few
		if got := len(l.byGroup); many && got != groups || !many && got != few {
			t.Errorf("a list for %d groups has %d", len(asked), got)
		}
		if (l.tasks != nil) != many {
			t.Errorf("a list for %d groups has the tasks: %v", len(asked), l.tasks != nil)
		}
	}
}

// After a list of all tasks that took too long, none is asked for until a while has passed.
func TestSlowTasks(t *testing.T) {
	var s slowTasks
	now := time.Now()
	if !s.due(now) {
		t.Error("the first list is not due")
	}
	s.note(now)
	if s.due(now.Add(taskListAgain - 1)) {
		t.Error("it is due too early")
	}
	if !s.due(now.Add(taskListAgain)) {
		t.Error("it is never due again")
	}
}

// A list of all tasks that was slow is not repeated, although it has succeeded.
func TestSlowListOfTasks(t *testing.T) {
	const groups = 100
	s, c := serveCounted(t, groups)
	close(s.hold)
	var names []string
	for n := range groups {
		names = append(names, groupName(n))
	}
	listed := func() bool {
		l, err := c.list(t.Context(), names)
		if err != nil {
			t.Fatal(err)
		}
		return l.tasks != nil
	}
	c.taskListSlow = time.Hour
	for range 2 {
		if !listed() {
			t.Error("control: after a fast list, the tasks were not listed")
		}
	}
	c.taskListSlow = 1
	if !listed() {
		t.Error("the list that was slow was thrown away")
	}
	if listed() {
		t.Error("after a slow list, the tasks were listed again")
	}
}

// Groups that ask for the retained generations at the same time share a list.
func TestRetainedIsShared(t *testing.T) {
	const callers = 50
	s, c := serveCounted(t, 3)
	var all sync.WaitGroup
	retained := func() {
		held, err := c.Retained(t.Context())
		want := map[string][]int{"g0": {1}, "g1": {1}, "g2": {1}}
		if diff := cmp.Diff(want, held); err != nil || diff != "" {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	}
	all.Go(retained)
	<-s.held
	gathered := c.retained.join(t.Context(), struct{}{})
	for range callers {
		if c.retained.join(t.Context(), struct{}{}) != gathered {
			t.Error("it does not wait with the others")
		}
	}
	close(s.hold)
	all.Wait()
	<-gathered.done
	if got := s.counted()["Leases/List"]; got != 2 {
		t.Errorf("%d lists for %d callers, want 2", got, 1+callers)
	}
}
