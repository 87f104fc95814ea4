package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/group"
)

// watchPoll is between two looks without an event: the number of running containers, ages and waits
// change without one. The tests change it.
var watchPoll = 2 * time.Second

// A watcher prints the list of ps again after each change. A terminal shows it in place. A pipe
// gets a new list, and an error goes to standard error.
type watcher struct {
	verb    *psVerb
	ui      *ui
	client  *api.Client
	inPlace bool
	last    frame
}

// A frame is a list as it is printed.
type frame struct{ out, err string }

func (v *psVerb) watch(ctx context.Context, ui *ui, client *api.Client) error {
	w := &watcher{verb: v, ui: ui, client: client}
	w.inPlace = screenOf(ui.stdout, ui.environ).width > 0 && envValue(ui.environ, "TERM") != "dumb"
	if w.inPlace {
		fmt.Fprint(ui.stdout, otherScreen)
		defer func() { fmt.Fprint(ui.stdout, ownScreen, w.last.out, w.last.err) }()
	}
	return w.run(ctx)
}

// Sequences of a terminal. The other screen has no history, and leaves the own one as it was.
const (
	otherScreen = "\x1b[?1049h"
	ownScreen   = "\x1b[?1049l"
	home        = "\x1b[H"
	clearLine   = "\x1b[K" // from the cursor
	clearBelow  = "\x1b[J" // from the cursor
)

// run looks again after each event and each change of the terminal's size, until ctx ends. An error
// is one of standard output.
func (w *watcher) run(ctx context.Context) error {
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, unix.SIGWINCH)
	defer signal.Stop(resized)
	poll := time.NewTicker(watchPoll)
	defer poll.Stop()
	events := changes(ctx, w.client, group.EventQuery{Kinds: listedEvents})
	for {
		if err := w.look(ctx); err != nil || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-events:
		case <-resized:
		case <-poll.C:
		}
	}
}

// listedEvents change the list of ps.
var listedEvents = []group.EventKind{
	group.EventState, group.EventAccepted, group.EventRollback, group.EventReverted, group.EventRestarted,
}

// look prints the list if it has changed. A daemon that does not answer changes the list, too: it
// may come back.
func (w *watcher) look(ctx context.Context) error {
	found, err := w.verb.read(ctx, w.client)
	if ctx.Err() != nil {
		return nil
	}
	shown := w.frame(found, err, w.ui.now())
	if w.inPlace {
		if shown == w.last {
			return nil
		}
		w.last = shown
		return w.redraw()
	}
	same := w.frame(found, err, time.Time{}) // without the ages
	if same == w.last {
		return nil
	}
	w.last = same
	if _, err := io.WriteString(w.ui.stderr, shown.err); err != nil {
		return err
	}
	_, err = io.WriteString(w.ui.stdout, shown.out)
	return err
}

// frame returns what the verb prints.
func (w *watcher) frame(found listing, err error, now time.Time) frame {
	var out, errs strings.Builder
	u := *w.ui
	u.out = &visibleWriter{w: &out, screen: screenOf(w.ui.stdout, w.ui.environ)}
	u.err = &visibleWriter{w: &errs, screen: screenOf(w.ui.stderr, w.ui.environ)}
	if err == nil {
		err = w.verb.write(&u, found, now)
	}
	u.fail(err)
	return frame{out.String(), errs.String()}
}

// redraw shows the list on the terminal's other screen. Lines for which there is no room are
// counted.
func (w *watcher) redraw() error {
	s := screenOf(w.ui.stdout, w.ui.environ)
	lines := strings.Split(strings.TrimSuffix(w.last.out+w.last.err, "\n"), "\n")
	rows := 0
	for i, line := range lines {
		if rows += max(1, (textWidth(line)+s.width-1)/s.width); rows > s.height-2 && i < len(lines)-1 {
			lines = append(lines[:i:i], fmt.Sprintf("... and %s", plural(len(lines)-i, "more line")))
			break
		}
	}
	_, err := io.WriteString(w.ui.stdout, home+strings.Join(lines, clearLine+"\n")+clearLine+"\n"+clearBelow)
	return err
}
