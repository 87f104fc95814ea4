package main

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/coreos/go-systemd/v22/journal"
	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/group"
)

// A fakeJournal keeps what is sent to it as text.
type fakeJournal struct {
	sent []string
	err  error
}

func (j *fakeJournal) send(message string, p journal.Priority, fields map[string]string) error {
	if j.err != nil {
		return j.err
	}
	text := fmt.Sprintf("%d %s", p, message)
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		text += fmt.Sprintf(" | %s=%s", name, fields[name])
	}
	j.sent = append(j.sent, text)
	return nil
}

func TestJournalHandler(t *testing.T) {
	const name = " | SYSLOG_IDENTIFIER=sallyport"
	status := uint32(3)
	for _, c := range []struct {
		name string
		log  func(*slog.Logger)
		want string
	}{
		{"no group", func(l *slog.Logger) { l.Info("daemon serves", "socket", "/run/s") },
			"6 daemon serves socket=/run/s | SOCKET=/run/s" + name},
		{"a group", func(l *slog.Logger) { l.Warn("no image", "group", "web", "again_in", "2s") },
			"4 web: no image again_in=2s | AGAIN_IN=2s | GROUP=web" + name},
		{"an id in containerd", func(l *slog.Logger) { l.Error("not seen", "container", "web.a", "error", errors.New("a b")) },
			`3 web.a: not seen error="a b" | CONTAINER=a | ERROR=a b | GROUP=web` + name},
		{"a logger's own attributes", func(l *slog.Logger) { l.With("group", "web").Info("starts") },
			"6 web: starts | GROUP=web" + name},
		{"what a terminal acts on", func(l *slog.Logger) { l.Info("a\x1b[2Jb", "path", "\x07") },
			`6 a\u001b[2Jb path=\u0007 | PATH=` + "\x07" + name},
		{"a name that is no field", func(l *slog.Logger) { l.Info("x", "_9 a-b", 1, "message", 2) },
			`6 x _9 a-b=1 message=2 | ATTRIBUTE_MESSAGE=2 | A_B=1` + name},
		{"an event", func(l *slog.Logger) {
			logEvent(l, group.Event{Group: "web", Container: "a", Kind: group.EventRestarted, Text: "ended with status 3, started again", ExitStatus: &status})
		}, "6 web.a: ended with status 3, started again | CONTAINER=a | EVENT=restarted | GROUP=web" + name},
		{"an event of a group that others cause", func(l *slog.Logger) {
			logEvent(l, group.Event{Group: "web", Kind: group.EventDrift, Text: "its rules: gone"})
		}, "4 web: its rules: gone | EVENT=drift | GROUP=web" + name},
		{"below the level", func(l *slog.Logger) { l.Debug("x") }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var j fakeJournal
			c.log(slog.New(&journalHandler{text: slog.NewTextHandler(t.Output(), nil), send: j.send}))
			if diff := cmp.Diff(c.want, strings.Join(j.sent, "\n")); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// A journal that takes nothing loses no line.
func TestJournalHandlerFallsBackToText(t *testing.T) {
	var text strings.Builder
	j := fakeJournal{err: errors.New("no socket")}
	log := slog.New(&journalHandler{text: slog.NewTextHandler(&text, nil), send: j.send})
	log.With("group", "web").Info("starts", "took", "1s")
	if _, line, _ := strings.Cut(text.String(), " "); line != "level=INFO msg=starts group=web took=1s\n" {
		t.Errorf("the text is %q", text.String())
	}
}

// Standard error of a test is no stream of the journal, whatever the environment claims.
func TestJournalIsUsedForItsOwnStreamOnly(t *testing.T) {
	for _, stream := range []string{"", "1:2", "nonsense"} {
		t.Setenv("JOURNAL_STREAM", stream)
		if toJournal() || logEvents(slog.Default()) != nil {
			t.Errorf("with JOURNAL_STREAM=%q it logs to the journal", stream)
		}
	}
}
