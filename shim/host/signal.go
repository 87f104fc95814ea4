package host

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Real-time signals as the C library numbers them: it keeps the kernel's first two for itself.
const (
	minRealTime = 34
	maxRealTime = 64
)

// ParseSignal returns the number of a signal that is named with or without SIG, in any case, or by
// its number.
func ParseSignal(word string) (int, error) {
	if n, err := strconv.Atoi(word); err == nil {
		if n < 1 || n > maxRealTime {
			return 0, fmt.Errorf("%d is not the number of a signal, which is 1 to %d", n, maxRealTime)
		}
		return n, nil
	}
	name := "SIG" + strings.TrimPrefix(strings.ToUpper(word), "SIG")
	if n := unix.SignalNum(name); n != 0 {
		return int(n), nil
	}
	for n := minRealTime; n <= maxRealTime; n++ {
		if name == SignalName(n) || name == fmt.Sprintf("SIGRTMAX-%d", maxRealTime-n) {
			return n, nil
		}
	}
	return 0, fmt.Errorf("there is no signal %q", word)
}

// SignalName returns the name of a signal, such as SIGHUP or SIGRTMIN+3. A number without a name is
// its own.
func SignalName(n int) string {
	switch {
	case n == minRealTime:
		return "SIGRTMIN"
	case n == maxRealTime:
		return "SIGRTMAX"
	case n > minRealTime && n < maxRealTime:
		return fmt.Sprintf("SIGRTMIN+%d", n-minRealTime)
	}
	if name := unix.SignalName(unix.Signal(n)); name != "" {
		return name
	}
	return strconv.Itoa(n)
}

// SignalNames returns the names of all signals, without SIG.
func SignalNames() []string {
	var names []string
	for n := 1; n <= maxRealTime; n++ {
		if name, named := strings.CutPrefix(SignalName(n), "SIG"); named {
			names = append(names, name)
		}
	}
	return names
}
