package spec

import (
	"time"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/sallyport/sallyport/spec/cron"
)

// A Schedule is when a group runs. The group is a template then: it never runs itself, and each of
// its runs is made from it.
type Schedule struct {
	Cron     string        `json:"cron"`             // as [cron.Parse] reads it
	Timezone string        `json:"timezone"`         // an IANA name
	Jitter   time.Duration `json:"jitter,omitempty"` // the longest delay of a run
	Missed   Missed        `json:"missed,omitempty"`
}

// Text returns when the group runs, in one line: "30 2 * * *, in Europe/Berlin".
func (s *Schedule) Text() string { return s.Cron + ", in " + s.Timezone }

// Missed decides about a run whose time came while no daemon could begin it.
type Missed string

const (
	MissedSkip Missed = "" // nothing, the default: "skip" in the file
	MissedRun  Missed = "run"
)

const (
	defaultTimezone = "UTC"
	minJitter       = time.Second
	maxJitter       = 24 * time.Hour
)

// schedule reads when the group runs. Nil means that it always does.
func (d *groupDecoder) schedule(group *hclsyntax.Block) *Schedule {
	block := single(group, "schedule")
	if block == nil {
		return nil
	}
	r := d.in(block)
	s := &Schedule{Timezone: defaultTimezone}
	times, ok := d.cron(r, s)
	if zone, at, ok := r.text("timezone", optional); ok {
		s.Timezone = zone
		if _, err := cron.Zone(zone); err != nil {
			d.errorf(at, "Invalid timezone", "There is no time zone %s. Write an IANA name: \"Europe/Berlin\", \"America/New_York\" or \"UTC\".", quote(zone))
		}
	}
	var hasJitter bool
	if s.Jitter, hasJitter = r.duration("jitter", minJitter, maxJitter); ok && hasJitter {
		if shortest := times.Shortest(); s.Jitter >= shortest {
			d.errorf(r.body.Attributes["jitter"].Expr.Range(), "Jitter too long", "A run may begin %s late, and the next one is due %s after it. Write less than that.", s.Jitter, shortest)
		}
	}
	if missed, at, ok := r.text("missed", optional); ok {
		switch missed {
		case "skip":
		case string(MissedRun):
			s.Missed = MissedRun
		default:
			d.errorf(at, "Invalid missed", "%s is no way to treat a missed run. Write \"skip\", to wait for the next time, or \"run\", to run once as soon as possible.", quote(missed))
		}
	}
	return s
}

func (d *groupDecoder) cron(r reader, s *Schedule) (times cron.Times, ok bool) {
	text, at, ok := r.text("cron", required)
	if !ok {
		return times, false
	}
	s.Cron = text
	times, err := cron.Parse(text)
	if err != nil {
		d.errorf(at, "Invalid cron", "%s can't be read: %s.", quote(text), err)
	}
	return times, err == nil
}

// checkSchedule reports what keeps a group with a schedule from being run.
func (d *groupDecoder) checkSchedule(g *Group, group *hclsyntax.Block) {
	if g.Schedule == nil {
		return
	}
	for _, v := range g.Volumes {
		if v.Persistent {
			d.errorf(placeOf(g, findBlock(group.Body, "volume", v.Name)), "Persistent volume of a scheduled group",
				"Each run is a group of its own, and leaves nothing behind. To keep the contents of %s from run to run use a folder of the host: host_path = \"/srv/data\". For one run alone use a volume in memory: size = \"64MiB\".", quote(v.Name))
		}
	}
	apps := 0
	for _, c := range g.Containers {
		if c.Role != App {
			continue
		}
		if apps++; apps == 2 {
			d.errorf(placeOf(g, findBlock(group.Body, string(App), c.Name)), "Several apps of a scheduled group", "The end of a run is that of its one app. Make %s a sidecar, or give it a group of its own.", quote(c.Name))
		}
	}
}
