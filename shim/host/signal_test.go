package host

import (
	"strconv"
	"testing"
)

func TestParseSignal(t *testing.T) {
	for word, want := range map[string]int{
		"HUP": 1, "SIGHUP": 1, "sighup": 1, "hup": 1, "1": 1, "KILL": 9, "15": 15, "USR1": 10, "RTMIN": 34, "SIGRTMIN+3": 37, "RTMAX": 64, "rtmax-1": 63, "64": 64,
		"": 0, "0": 0, "65": 0, "-1": 0, "SIG": 0, "HUPP": 0, "SIGSIGHUP": 0, "RTMIN+31": 0, "RTMIN+0": 0, "RTMAX-31": 0, "1.5": 0,
	} {
		got, err := ParseSignal(word)
		if got != want || (err == nil) != (want != 0) {
			t.Errorf("%q: %d, %v; want %d", word, got, err, want)
		}
	}
	for n := 1; n <= maxRealTime; n++ {
		if got, err := ParseSignal(SignalName(n)); got != n || err != nil {
			t.Errorf("%d is called %s, which is %d, %v", n, SignalName(n), got, err)
		}
	}
	for _, name := range SignalNames() {
		if _, err := strconv.Atoi(name); err == nil {
			t.Errorf("%s is no name", name)
		}
		if _, err := ParseSignal(name); err != nil {
			t.Error(err)
		}
	}
}
