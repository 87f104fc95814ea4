package spec

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

const (
	defaultStopTimeout = 10 * time.Second
	maxStopTimeout     = time.Hour
)

// onFailure reads what a container's failure does to its group. It reports values that have no
// meaning for the container's role or its restart policy.
func (d *groupDecoder) onFailure(r reader, role Role, restart Restart) OnFailure {
	policy := restart.Policy
	const restarts = "restart"
	s, at, ok := r.oneOf("on_failure", []string{restarts, string(FailureStopsGroup), string(FailureIgnored)})
	switch {
	case !ok:
		return FailureRestarts
	case s == restarts && policy == RestartNever:
		d.errorf(at, "A restart that never comes", "With on_failure = \"restart\" the restart policy decides when it is started again, and that is \"never\". Write policy = \"on-failure\", or another on_failure: \"stop-group\" or \"ignore\".")
	case s == restarts:
		return FailureRestarts
	case s == string(FailureIgnored) && role == Ambassador:
		d.errorf(at, "A group without its door", "Nothing leaves or enters a group whose ambassador is down, so no group counts as whole without it. Write \"restart\" or \"stop-group\".")
	case s == string(FailureIgnored) && role == Init && policy != RestartNever && restart.Attempts == 0:
		d.errorf(at, "An init that is tried until it succeeds", "The group's start can go on without an init only when the init has ended for good. The restart policy of this one starts it again until it succeeds. Write beside it: restart { policy = \"never\" }, or restart { attempts = 3 }.")
	}
	return OnFailure(s)
}

// stop reads the signal that asks a container to end, and how long it may take.
func (d *groupDecoder) stop(container *hclsyntax.Block) Stop {
	stop := Stop{Timeout: defaultStopTimeout}
	block := single(container, "stop")
	if block == nil {
		return stop
	}
	r := d.in(block)
	if timeout, ok := r.duration("timeout", time.Millisecond, maxStopTimeout); ok {
		stop.Timeout = timeout
	}
	if s, at, ok := r.text("signal", optional); ok {
		name := signalName(s, signals)
		if name == "" {
			d.errorf(at, "Invalid signal", "%s is no signal that ends a program.%s Write one such as \"SIGTERM\", \"SIGQUIT\" or \"SIGRTMIN+3\".", quote(s), DidYouMean(s, signals))
		}
		stop.Signal = name
	}
	if stop.PreStop = r.texts("pre_stop"); stop.PreStop != nil && (len(stop.PreStop) == 0 || stop.PreStop[0] == "") {
		d.errorf(block.Body.Attributes["pre_stop"].Expr.Range(), "Empty command", "An empty command does nothing. Name a program of the container, or leave the line out.")
	}
	return stop
}

// signals are those that a program may take as a request to end. Some programs end on SIGWINCH.
var signals = []string{
	"SIGHUP", "SIGINT", "SIGQUIT", "SIGABRT", "SIGKILL", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGTERM", "SIGXCPU", "SIGWINCH", "SIGIO", "SIGPWR",
}

var realTime = regexp.MustCompile(`^SIGRT(MIN(\+([1-9]|1[0-5]))?|MAX(-([1-9]|1[0-4]))?)$`)

// signalName returns the full name of a signal: "SIGTERM" for "term" as well. It returns "" for
// anything but the given ones and those for real-time programs.
func signalName(s string, signals []string) string {
	name := strings.ToUpper(s)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	if slices.Contains(signals, name) || realTime.MatchString(name) {
		return name
	}
	return ""
}
