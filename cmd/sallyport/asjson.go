package main

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"github.com/hashicorp/hcl/v2"

	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/group"
)

// With --json, standard output has what docs/schemas describes and nothing else. All else goes to
// standard error, as without it. A verb that fails before it could print its result prints a
// [noResult] instead.

// A noResult is printed with --json instead of a result, or as the last line of a stream. The text
// is on standard error as well.
type noResult struct {
	Error       string       `json:"error"`
	Hint        string       `json:"hint,omitempty"`        // what to do
	ExitStatus  int          `json:"exit_status"`           // of the command
	Diagnostics []diagnostic `json:"diagnostics,omitempty"` // the mistakes in files
}

// A diagnostic is a mistake in a file, or a warning about one.
type diagnostic struct {
	Severity string `json:"severity"` // "error" or "warning"
	Summary  string `json:"summary"`
	Detail   string `json:"detail,omitempty"` // with what to do
	File     string `json:"file,omitempty"`
	Line     int    `json:"line,omitempty"`   // from 1
	Column   int    `json:"column,omitempty"` // from 1, in characters
}

// diagnose prints diagnostics of files, and keeps all of them for JSON.
func (u *ui) diagnose(contents map[string][]byte, printed, all hcl.Diagnostics) error {
	for _, d := range all {
		out := diagnostic{Severity: "error", Summary: d.Summary, Detail: d.Detail}
		if d.Severity == hcl.DiagWarning {
			out.Severity = "warning"
		}
		if d.Subject != nil {
			out.File, out.Line, out.Column = d.Subject.Filename, d.Subject.Start.Line, d.Subject.Start.Column
		}
		u.mistakes = append(u.mistakes, out)
	}
	return u.diagnostics(contents, printed)
}

// failAsJSON prints a [noResult], if none of the verb's result is printed.
func (u *ui) failAsJSON(err error, status int) {
	if status == 0 || u.printed {
		return
	}
	f := noResult{ExitStatus: status, Error: joinLines(err.Error()), Hint: u.again.text(hintOf(err)), Diagnostics: u.mistakes}
	if n := countErrors(u.mistakes); n > 0 {
		f.Error = plural(n, "mistake") + " in the files"
	}
	line := json.NewEncoder(u.out)
	line.SetEscapeHTML(false)
	_ = line.Encode(f) // the status has that something is wrong
}

func countErrors(diags []diagnostic) (n int) {
	for _, d := range diags {
		if d.Severity == "error" {
			n++
		}
	}
	return n
}

// wantsJSON reports whether the command line asks a verb for JSON. The rest of it may be wrong.
func wantsJSON(model *kong.Application, verb string, args []string) bool {
	if i := slices.Index(args, "--"); i >= 0 {
		args = args[:i]
	}
	return slices.Contains(args, "--json") && slices.ContainsFunc(model.Children, func(node *kong.Node) bool {
		return node.Name == verb && slices.ContainsFunc(node.Flags, func(f *kong.Flag) bool { return f.Name == "json" })
	})
}

// A change has what became of a group by a verb.
type change struct {
	Group      string         `json:"group,omitempty"`     // none for a file that no group comes from
	File       string         `json:"file,omitempty"`      // of rm, if a file was named
	Container  string         `json:"container,omitempty"` // the only one that was meant
	State      group.State    `json:"state,omitempty"`     // when the verb was done; "gone" after rm; none for --detach
	Generation int            `json:"generation,omitempty"`
	TrialEnds  time.Time      `json:"trial_ends,omitzero"` // until then the generation has to be ready
	Plan       *group.Preview `json:"plan,omitempty"`      // of apply
	Seconds    float64        `json:"seconds"`             // that the caller has waited for it
	Error      string         `json:"error,omitempty"`
	Hint       string         `json:"hint,omitempty"` // what to do
}

// seconds returns a length of time for JSON, in milliseconds at most.
func seconds(d time.Duration) float64 { return d.Round(time.Millisecond).Seconds() }

// changed returns the change of a group with this status.
func changed(g group.Status, took time.Duration) change {
	return change{
		Group: g.Name, State: g.State, Generation: g.Generation, TrialEnds: g.TrialEnds,
		Seconds: seconds(took), Error: g.Error, Hint: g.Hint,
	}
}

// appliedChanges returns the change of each group that the previews are about.
func appliedChanges(previews []group.Preview, all []group.Status, took time.Duration) []change {
	changes := []change{}
	for i, p := range previews {
		for _, g := range applied(previews[i:i+1], all) {
			c := changed(g, took)
			c.Plan = &p
			changes = append(changes, c)
		}
	}
	return changes
}

// A report prints what a verb has done to several groups: a line for each at once, or all of them
// as JSON at the end.
type report struct {
	ui      *ui
	json    bool
	changes []change
}

// add reports a change. The text is its line without JSON.
func (r *report) add(c change, format string, args ...any) {
	if r.json {
		r.changes = append(r.changes, c)
		return
	}
	r.ui.sayf(format, args...)
}

// started reports a group or a container that was started. The JSON has the state that it is in.
func (r *report) started(ctx context.Context, client *api.Client, t target, began time.Time, how string) error {
	took := r.ui.now().Sub(began)
	c := change{Group: t.group}
	if r.json {
		groups, err := client.Status(ctx, t.group)
		if err != nil {
			return err
		}
		for _, g := range groups {
			c = changed(g, took)
		}
	}
	c.Container = t.container
	r.add(c, "%s %s (%s)", t, how, took.Round(time.Millisecond))
	return nil
}

// fail reports that a group could not be changed. The name is as the argument has it. The error is
// printed by [ui.fail].
func (r *report) fail(name string, began time.Time, err error) {
	c := change{Seconds: seconds(r.ui.now().Sub(began)), Error: joinLines(err.Error()), Hint: r.ui.again.text(hintOf(err))}
	if isFile(name) {
		c.File = name
	} else {
		c.Group, c.Container, _ = strings.Cut(name, ".")
	}
	r.changes = append(r.changes, c)
}

// end prints the JSON.
func (r *report) end() error {
	if !r.json {
		return nil
	}
	return r.ui.json(append([]change{}, r.changes...))
}
