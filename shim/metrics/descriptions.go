package metrics

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// all has every metric, in the order of the declarations below.
var all []*prometheus.Desc

func describe(name, help string, labels ...string) *prometheus.Desc {
	d := prometheus.NewDesc("sallyport_"+name, help, labels, nil)
	all = append(all, d)
	return d
}

func ofGroup(name, help string, labels ...string) *prometheus.Desc {
	return describe("group_"+name, help, append([]string{"group"}, labels...)...)
}

func ofContainer(name, help string, labels ...string) *prometheus.Desc {
	return describe("container_"+name, help, append([]string{"group", "container"}, labels...)...)
}

func ofVolume(name, help string) *prometheus.Desc {
	return describe("volume_"+name, help, "group", "volume")
}

func ofDoor(name, help string, labels ...string) *prometheus.Desc {
	return describe("door_"+name, help, append([]string{"group"}, labels...)...)
}

// The daemon and its host.
var (
	buildInfo         = describe("build_info", "The version of the daemon. The value is always 1.", "version", "goversion")
	collectorSuccess  = describe("scrape_collector_success", "Whether a part of this scrape is complete.", "collector")
	collectorDuration = describe("scrape_collector_duration_seconds", "How long a part of this scrape took.", "collector")
	eventsTotal       = describe("events_total", "Events that were recorded since the daemon started.", "kind")
	eventsLost        = describe("events_lost_total", "Events that could not be recorded since the daemon started.")
	unusableFiles     = describe("unusable_files", "Group files and files of the state that can't be used.")
	unwrittenFiles    = describe("unwritten_state_files", "Files of the state that could not be written to disk yet.")
	uplinkRoute       = describe("uplink_route", "Whether the host has a route to the outside. Without one its uplink is lost.", "family")
)

// Runs.
var (
	runsNow   = describe("runs", "Runs that are going on, and those that wait for their turn.", "state")
	runsTotal = describe("runs_total", "Runs that are over or were refused since the daemon started, by their outcome.", "outcome")
)

// Groups.
var (
	groupsByState   = describe("groups", "Groups by their state.", "state")
	groupInfo       = ofGroup("info", "What may leave the group, by its file. The value is always 1.", "egress")
	groupState      = ofGroup("state", "Whether the group is in a state.", "state")
	groupStateSince = ofGroup("state_timestamp_seconds", "When the group entered its state, since 1970.")
	groupError      = ofGroup("error", "Whether the group is not as its file wants it. The status has why.")
	groupGeneration = ofGroup("generation", "The generation of the group's definition.")
	groupTimedOut   = ofGroup("timed_out", "Whether the group is a job that was ended because its time was over.")
	groupNextRun    = ofGroup("schedule_next_timestamp_seconds", "When the next run of the group's schedule begins, since 1970.")
	groupLastRun    = ofGroup("schedule_last_failed", "Whether the last run of the group's schedule that is over has failed.")
	groupTrial      = ofGroup("trial", "Whether a new generation still has to become ready in time.")
	reconciliations = ofGroup("reconciliations_total", "How often the daemon has looked at the group and done what was to do, since it started.")
	failures        = ofGroup("reconciliation_failures_total", "How often that failed, since the daemon started.")
	deniedInbound   = ofGroup("denied_inbound_packets_total", "Packets that were dropped on their way to the group, by its rules or the host's, since the daemon started.")
	repairs         = ofGroup("repairs_total", "How often the daemon put back what others had changed, since it started.")
)

// Containers.
var (
	containerInfo    = ofContainer("info", "The container's role and image. The value is always 1.", "role", "image")
	running          = ofContainer("running", "Whether the container runs. Absent if that is unknown.")
	ready            = ofContainer("ready", "Whether the container is ready by its probes; of an init, whether it ended well.")
	started          = ofContainer("start_time_seconds", "When the container that runs was started, since 1970.")
	restarts         = ofContainer("restarts_total", "Starts that followed an end, with this definition of the container.")
	endsInARow       = ofContainer("ends_in_a_row", "Ends in a row, each after a run shorter than ten minutes.")
	lastExit         = ofContainer("last_exit_status", "The exit status of the container's last end. Above 128 it is a signal and 128.")
	lastExitOOM      = ofContainer("last_exit_oom", "Whether the kernel had killed a process for memory at the container's last end.")
	cpuSeconds       = ofContainer("cpu_seconds_total", "Time of processors that was used, over all restarts.")
	memoryBytes      = ofContainer("memory_bytes", "Memory in use, with the cache of files.")
	workingSet       = ofContainer("memory_working_set_bytes", "Memory in use, without the cache of files that were not used lately.")
	memoryLimit      = ofContainer("memory_limit_bytes", "The limit of memory. Absent if there is none.")
	threads          = ofContainer("threads", "Processes and threads.")
	oomKills         = ofContainer("oom_kills_total", "Processes that the kernel killed because memory ran out.")
	outputBytes      = ofContainer("output_bytes_total", "Bytes that the container has printed.")
	outputStored     = ofContainer("output_stored_bytes", "Bytes on disk of what the container has printed.")
	containerDenied  = ofContainer("denied_packets_total", "Packets of the container that were denied, by the group's rules or the host's, since the daemon started.")
	containerDisk    = ofContainer("disk_used_bytes", "Bytes of the container's root file system that it has written, if they are bounded.")
	containerDiskMax = ofContainer("disk_limit_bytes", "The bound on what the container may write to its root file system.")
	volumeUsed       = ofVolume("used_bytes", "Bytes in a persistent volume, if it is bounded.")
	volumeLimit      = ofVolume("limit_bytes", "The bound on a persistent volume.")
)

// The door, by the counters of the group's rules. They begin anew with the group's network.
var (
	transmitPackets = ofDoor("transmit_packets_total", "Packets that left the group.", "side")
	transmitBytes   = ofDoor("transmit_bytes_total", "Bytes that left the group.", "side")
	receivePackets  = ofDoor("receive_packets_total", "Packets that arrived in the group.", "side")
	receiveBytes    = ofDoor("receive_bytes_total", "Bytes that arrived in the group.", "side")
	doorDenied      = ofDoor("denied_packets_total", "Packets that the group's rules denied, by kind.", "kind")
	intercepted     = ofDoor("intercepted_packets_total", "Packets of members that were redirected to the ambassador.")
	quotaBytes      = ofDoor("quota_bytes", "The quota of the ambassador. Absent if there is none.")
	quotaUsed       = ofDoor("quota_used_bytes", "How much of its quota the ambassador has used.")
)

func gauge(d *prometheus.Desc, value float64, labels ...string) prometheus.Metric {
	return metric(d, prometheus.GaugeValue, value, labels)
}

func counter[N uint64 | int](d *prometheus.Desc, value N, labels ...string) prometheus.Metric {
	return metric(d, prometheus.CounterValue, float64(value), labels)
}

// metric makes a metric. A label that is not UTF-8, as the name of a file or an image can be, would
// be refused.
func metric(d *prometheus.Desc, kind prometheus.ValueType, value float64, labels []string) prometheus.Metric {
	for i := range labels {
		labels[i] = strings.ToValidUTF8(labels[i], "\uFFFD")
	}
	return prometheus.MustNewConstMetric(d, kind, value, labels...)
}

func bit(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1e3 }
