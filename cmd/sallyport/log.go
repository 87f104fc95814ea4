package main

import (
	"context"
	"log/slog"
	"strings"

	"github.com/coreos/go-systemd/v22/journal"

	"github.com/sallyport/sallyport/shim/group"
)

// newLog returns the log of a service. Under systemd it goes to the journal, with fields. Otherwise
// it is text on standard error.
func newLog(ui *ui, level slog.Leveler) *slog.Logger {
	text := slog.NewTextHandler(ui.err, &slog.HandlerOptions{Level: level})
	if toJournal() {
		return slog.New(&journalHandler{text: text, send: journal.Send})
	}
	return slog.New(text)
}

// toJournal reports whether standard error is a stream of systemd's journal (JOURNAL_STREAM,
// systemd.exec(5)).
func toJournal() bool {
	is, err := journal.StderrIsJournalStream()
	return err == nil && is
}

// A journalHandler sends records to systemd's journal. Each attribute is a field: the operator
// selects by GROUP, CONTAINER and EVENT. The message has the others too, since journalctl shows the
// message alone.
type journalHandler struct {
	text  slog.Handler // has the level, and takes what the journal does not
	send  func(message string, p journal.Priority, fields map[string]string) error
	attrs []slog.Attr
}

var _ slog.Handler = (*journalHandler)(nil)

// Enabled implements [slog.Handler].
func (h *journalHandler) Enabled(ctx context.Context, l slog.Level) bool {
	return h.text.Enabled(ctx, l)
}

// WithAttrs implements [slog.Handler].
func (h *journalHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &journalHandler{h.text.WithAttrs(attrs), h.send, append(h.attrs[:len(h.attrs):len(h.attrs)], attrs...)}
}

// WithGroup implements [slog.Handler]. The journal's fields have no groups, so names stay as they
// are.
func (h *journalHandler) WithGroup(name string) slog.Handler {
	return &journalHandler{h.text.WithGroup(name), h.send, h.attrs}
}

// The names of attributes that tell a record's place. They are in the fields, and before the
// message.
const (
	groupKey     = "group"
	containerKey = "container"
	eventKey     = "event"
)

// Handle implements [slog.Handler].
func (h *journalHandler) Handle(ctx context.Context, r slog.Record) error {
	fields := map[string]string{"SYSLOG_IDENTIFIER": "sallyport"}
	var more strings.Builder
	add := func(a slog.Attr) bool {
		value := a.Value.Resolve().String()
		switch a.Key {
		case "":
			return true
		case groupKey, containerKey, eventKey:
		default:
			more.WriteString(" " + a.Key + "=" + quoteWords(value))
		}
		fields[fieldName(a.Key)] = value
		return true
	}
	for _, a := range h.attrs {
		add(a)
	}
	r.Attrs(add)
	if name, container, ok := strings.Cut(fields["CONTAINER"], "."); ok && fields["GROUP"] == "" {
		fields["GROUP"], fields["CONTAINER"] = name, container // an id in containerd has both
	}
	var message strings.Builder
	shown := &visibleWriter{w: &message}
	if name := fields["GROUP"]; name != "" {
		_, _ = shown.Write([]byte((target{name, fields["CONTAINER"]}).String() + ": "))
	}
	_, _ = shown.Write([]byte(r.Message + more.String()))
	shown.flush()
	if h.send(message.String(), priority(r.Level), fields) != nil {
		return h.text.Handle(ctx, r)
	}
	return nil
}

// fieldName returns the name of the journal's field for an attribute: at most 64 capital letters,
// digits and underscores, which begin with a letter (systemd's journal_field_valid).
func fieldName(key string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z':
			return r - 'a' + 'A'
		case 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
			return r
		}
		return '_'
	}, key)
	if name = strings.TrimLeft(name, "_0123456789"); len(name) > 64 {
		name = name[:64]
	}
	if name == "" || name == "MESSAGE" || name == "PRIORITY" {
		return "ATTRIBUTE_" + name
	}
	return name
}

// quoteWords puts a text of several words between quotation marks.
func quoteWords(s string) string {
	if s == "" || strings.ContainsAny(s, " \t\n\"") {
		return `"` + strings.ReplaceAll(s, `"`, `\"`) + `"`
	}
	return s
}

// priority returns the journal's priority of a level.
func priority(l slog.Level) journal.Priority {
	switch {
	case l >= slog.LevelError:
		return journal.PriErr
	case l >= slog.LevelWarn:
		return journal.PriWarning
	case l >= slog.LevelInfo:
		return journal.PriInfo
	default:
		return journal.PriDebug
	}
}

// logEvents returns a function that logs an event, for a log in systemd's journal. Elsewhere it
// returns nil: events are read with "sallyport events".
func logEvents(log *slog.Logger) func(group.Event) {
	if !toJournal() {
		return nil
	}
	return func(e group.Event) { logEvent(log, e) }
}

// logEvent logs an event with its fields. What others did to a group, and what did not work, are
// warnings.
func logEvent(log *slog.Logger, e group.Event) {
	level := slog.LevelInfo
	switch e.Kind {
	case group.EventDrift, group.EventReverted, group.EventQuota:
		level = slog.LevelWarn
	}
	attrs := []any{groupKey, e.Group, eventKey, string(e.Kind)}
	if e.Container != "" {
		attrs = append(attrs, containerKey, e.Container)
	}
	log.Log(context.Background(), level, e.Text, attrs...)
}
