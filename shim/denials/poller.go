package denials

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/shim/disk"
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/journal"
	"github.com/sallyport/sallyport/shim/layout"
)

// A Door tells what the kernel has counted at a group's door. Implemented by [network.Network]; in memory by shimtest.Host.
type Door interface {
	// Denials are what each container was refused, by destination. A group without rules is fs.ErrNotExist.
	Denials(group string) ([]host.Denial, error)
	// Spent says how many bytes have gone through the door, and how many may; quota 0: no end is set.
	Spent(group string) (used, quota uint64, err error)
}

// A Config is what a Poller works with.
type Config struct {
	Door    Door             // required
	Groups  func() []string  // required: whose doors are looked at; what is known of others is forgotten
	Journal *journal.Journal // required
	Layout  layout.Layout    // required: its RunDir
	Log     *slog.Logger     // optional: nil discards
	Every   time.Duration    // optional: between two looks; 0 is 1 s
	Now     func() time.Time // optional: nil is time.Now
	// Most is how many destinations of a group a look makes events of; the others are added up. Optional: 0 is 16.
	Most int
}

// A Poller makes events of what the kernel counts at the groups' doors. What a look found is noted in the run folder, with the
// events that it led to, before they are recorded: so a daemon that is killed in between leaves nothing out, and the next one
// records nothing again.
type Poller struct {
	config Config
	seen   map[string]*glimpse
}

// A glimpse is what was last seen of one group's door.
type glimpse struct {
	Denials []tally       `json:"denials,omitempty"`
	Level   int           `json:"level,omitempty"`  // of the quota that was told of; see quotaLevel
	Events  []group.Event `json:"events,omitempty"` // that this look led to

	failing bool // the last look failed, and that was logged
}

// New validates and starts nothing.
func New(c Config) (*Poller, error) {
	if c.Door == nil || c.Groups == nil || c.Journal == nil {
		return nil, errors.New("shim: a Poller needs Door, Groups and Journal")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Every == 0 {
		c.Every = time.Second
	}
	if c.Most == 0 {
		c.Most = 16
	}
	return &Poller{config: c, seen: map[string]*glimpse{}}, nil
}

// Run looks at the doors until ctx ends. What can't be looked at or recorded is logged and tried again.
func (p *Poller) Run(ctx context.Context) error {
	if err := p.resume(); err != nil {
		p.config.Log.Warn("take up what was last seen of the groups' doors: " + err.Error())
	}
	tick := time.NewTicker(p.config.Every)
	defer tick.Stop()
	for {
		p.poll()
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// resume takes up what the daemon before has seen, and records what it was about to.
func (p *Poller) resume() error {
	paths, err := filepath.Glob(p.config.Layout.DenialsPath("*"))
	if err != nil {
		return err
	}
	var errs []error
	var events []group.Event
	for _, path := range paths {
		g, err := disk.ReadJSON[glimpse](path)
		if err != nil {
			errs = append(errs, err) // then the group is one that was not seen before
			continue
		}
		p.seen[strings.TrimSuffix(filepath.Base(path), ".json")] = &g
		events = append(events, g.Events...)
		g.Events = nil
	}
	if len(events) > 0 {
		events, err = p.config.Journal.Missing(events)
		errs = append(errs, err)
	}
	if len(events) > 0 {
		errs = append(errs, p.config.Journal.Record(events...))
	}
	return errors.Join(errs...)
}

func (p *Poller) poll() {
	groups := p.config.Groups()
	for _, group := range groups {
		p.look(group)
	}
	for group := range p.seen {
		if !slices.Contains(groups, group) {
			p.forget(group)
		}
	}
}

func (p *Poller) forget(group string) {
	_, owed, _ := fresh(p.seen[group].Denials, nil, p.config.Now())
	delete(p.seen, group)
	err := p.config.Journal.Record(deniedEvents(group, owed, p.config.Most)...)
	if err := errors.Join(err, disk.Remove(p.config.Layout.DenialsPath(group))); err != nil {
		p.config.Log.Warn("forget what was seen of a group's door: "+err.Error(), "group", group)
	}
}

// look looks at one door and records what is new.
func (p *Poller) look(group string) {
	before := p.seen[group]
	if before == nil {
		before = &glimpse{}
		p.seen[group] = before
	}
	now, dropped, err := p.glance(group, *before)
	if err == nil && (len(now.Events) > 0 || dropped || now.Level != before.Level) {
		err = p.record(group, now)
	}
	if err != nil {
		if !before.failing {
			p.config.Log.Warn("look at the group's door: "+err.Error(), "group", group)
		}
		before.failing = true
		return
	}
	now.Events = nil
	p.seen[group] = &now
}

// glance returns what is there now, with what happened since before. dropped says that something was forgotten: a note that has
// it still would lead the next daemon astray. That counts have grown it would find by itself.
func (p *Poller) glance(group string, before glimpse) (now glimpse, dropped bool, err error) {
	denials, err := p.config.Door.Denials(group)
	used, quota, errSpent := p.config.Door.Spent(group)
	for _, err := range []error{err, errSpent} {
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // without rules nothing is counted
			return now, false, err
		}
	}
	at := p.config.Now()
	var told []host.Denial
	now.Denials, told, dropped = fresh(before.Denials, denials, at)
	now.Events = deniedEvents(group, told, p.config.Most)
	now.Level = quotaLevel(used, quota)
	if now.Level > before.Level {
		now.Events = append(now.Events, quotaEvent(group, now.Level, used, quota))
	}
	for i := range now.Events {
		now.Events[i].Time = at
	}
	return now, dropped, nil
}

// record notes what was seen, then records it.
func (p *Poller) record(group string, now glimpse) error {
	path := p.config.Layout.DenialsPath(group)
	err := disk.WriteJSON(path, now)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(filepath.Dir(path), 0o700); err == nil {
			err = disk.WriteJSON(path, now)
		}
	}
	if err != nil {
		return fmt.Errorf("note what was seen: %w", err)
	}
	if len(now.Events) == 0 {
		return nil
	}
	return p.config.Journal.Record(now.Events...)
}
