package journal

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hostfile"
)

// An eventReader reads the events of some files, one file after the other. It skips lines that are
// no events, such as torn ones.
type eventReader struct {
	files   []*hostfile.File
	parts   []io.Reader
	lines   *bufio.Reader // nil before the first readNext
	next    group.Event
	hasNext bool // next is valid
}

// maxLine is longer than any line that Record writes.
const maxLine = 16 << 10

// add adds a file, which begins a line: the one before may end with a torn line.
func (r *eventReader) add(f *hostfile.File, size int64) {
	r.files = append(r.files, f)
	r.parts = append(r.parts, io.NewSectionReader(f, 0, size), strings.NewReader("\n"))
}

func (r *eventReader) close() error {
	var errs []error
	for _, f := range r.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// readNext reads the next event, and sets hasNext to whether there is one.
func (r *eventReader) readNext() error {
	if r.lines == nil {
		r.lines = bufio.NewReaderSize(io.MultiReader(r.parts...), maxLine)
	}
	for {
		line, err := r.lines.ReadSlice('\n')
		for whole := true; errors.Is(err, bufio.ErrBufferFull); whole = false {
			if whole {
				line = nil
			}
			_, err = r.lines.ReadSlice('\n')
		}
		r.next = group.Event{}
		if json.Unmarshal(line, &r.next) == nil && r.next.Kind != "" {
			r.hasNext = true
			return nil
		}
		if errors.Is(err, io.EOF) {
			r.hasNext = false
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// sources are readers whose events are merged in the order of time.
type sources []*eventReader

func (s sources) close() error {
	var errs []error
	for _, r := range s {
		errs = append(errs, r.close())
	}
	return errors.Join(errs...)
}

func (s sources) each(ctx context.Context, do func(group.Event) error) error {
	for _, r := range s {
		if err := r.readNext(); err != nil {
			return err
		}
	}
	for ctx.Err() == nil {
		var first *eventReader
		for _, r := range s {
			if r.hasNext && (first == nil || r.next.Time.Before(first.next.Time)) {
				first = r
			}
		}
		if first == nil {
			return nil
		}
		if err := do(first.next); err != nil {
			return err
		}
		if err := first.readNext(); err != nil {
			return err
		}
	}
	return nil
}

// emitTail emits the last events that the query wants, at most Tail of them. It emits all if Tail
// is 0, and none if Tail is negative.
func (s sources) emitTail(ctx context.Context, q group.EventQuery, emit func(group.Event) error) error {
	if q.Tail < 0 {
		return nil
	}
	var kept []group.Event // a ring once it has Tail events
	n := 0
	err := s.each(ctx, func(e group.Event) error {
		switch {
		case !q.Matches(e):
		case q.Tail == 0:
			return emit(e)
		case len(kept) < q.Tail:
			kept = append(kept, e)
		default:
			kept[n%q.Tail] = e
			n++
		}
		return nil
	})
	for i := range kept {
		if err == nil {
			err = emit(kept[(n+i)%len(kept)])
		}
	}
	return err
}

// Missing returns those of the events that the journal does not have.
func (j *Journal) Missing(events []group.Event) ([]group.Event, error) {
	type identity struct {
		time                   int64
		group, container, text string
	}
	of := func(e group.Event) identity { return identity{e.Time.UnixNano(), e.Group, e.Container, e.Text} }
	missing := map[identity]bool{}
	for _, e := range events {
		missing[of(e)] = true
	}
	if err := j.Events(context.Background(), group.EventQuery{}, func(e group.Event) error {
		delete(missing, of(e))
		return nil
	}); err != nil {
		return nil, err
	}
	var out []group.Event
	for _, e := range events {
		if missing[of(e)] {
			out = append(out, e)
		}
	}
	return out, nil
}

// States returns the last state that each group entered.
func (j *Journal) States() (map[string]group.State, error) {
	states := map[string]group.State{}
	err := j.Events(context.Background(), group.EventQuery{Kinds: []group.EventKind{group.EventState}}, func(e group.Event) error {
		states[e.Group] = e.State
		return nil
	})
	return states, err
}
