package ctrd

import (
	"testing"
	"time"

	"github.com/containerd/containerd/api/types/task"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/layout"
)

func TestWithProcess(t *testing.T) {
	at := time.Date(2026, 11, 24, 3, 0, 0, 0, time.UTC)
	tests := []struct {
		name string
		p    *task.Process
		want host.ContainerState
	}{
		{"none", nil, host.ContainerState{Task: host.TaskNone}},
		{"created", &task.Process{Status: task.Status_CREATED, Pid: 7}, host.ContainerState{Task: host.TaskCreated, PID: 7}},
		{"running", &task.Process{Status: task.Status_RUNNING, Pid: 7}, host.ContainerState{Task: host.TaskRunning, PID: 7}},
		{"paused from outside", &task.Process{Status: task.Status_PAUSED, Pid: 7}, host.ContainerState{Task: host.TaskRunning, PID: 7}},
		{"stopped", &task.Process{Status: task.Status_STOPPED, Pid: 7, ExitStatus: 3, ExitedAt: timestamppb.New(at)}, host.ContainerState{Task: host.TaskStopped, ExitStatus: 3, ExitedAt: at}},
		{"unknown", &task.Process{Status: task.Status_UNKNOWN}, host.ContainerState{Task: host.TaskUnknown}},
	}
	c := &Client{cfg: Config{Layout: layout.Layout{RunDir: t.TempDir()}}}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.want.Group, tt.want.Name = "shop", "web"
			got := c.withProcess(host.ContainerState{Group: "shop", Name: "web"}, containers.Container{}, tt.p)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
