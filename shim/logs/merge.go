package logs

import "time"

// A source has lines in an order that stays. ok is false at its end.
type source interface {
	readLine() (line Line, ok bool, err error)
}

// A merged source has the lines of several, by their times. Of lines with the same time, those of
// the earlier source come first. A line whose time is not known stays with the one before it.
type merged struct {
	sources []source
	heads   []head
	begun   bool
}

// A head is the next line of a source. at orders it.
type head struct {
	line Line
	at   time.Time
	ok   bool
}

func (m *merged) readLine() (line Line, ok bool, err error) {
	if !m.begun {
		m.begun, m.heads = true, make([]head, len(m.sources))
		for i := range m.sources {
			if err := m.pull(i); err != nil {
				return Line{}, false, err
			}
		}
	}
	first := -1
	for i, h := range m.heads {
		if h.ok && (first < 0 || h.at.Before(m.heads[first].at)) {
			first = i
		}
	}
	if first < 0 {
		return Line{}, false, nil
	}
	line = m.heads[first].line
	return line, true, m.pull(first)
}

// pull replaces the head of a source by its next line.
func (m *merged) pull(i int) (err error) {
	h := &m.heads[i]
	if h.line, h.ok, err = m.sources[i].readLine(); !h.line.Time.IsZero() && !h.line.Latest {
		h.at = h.line.Time
	}
	return err
}

// backlog returns the lines of one reader that are there when it is opened. With rest, a last line
// without a newline is one of them.
type backlog struct {
	*reader
	rest bool
}

func (b backlog) readLine() (Line, bool, error) {
	line, ok, err := b.reader.readLine()
	if !ok && err == nil && b.rest && b.whole {
		line, ok = b.reader.rest()
	}
	return line, ok, err
}

// A later source has the lines of another one but the first ones.
type later struct {
	source
	skip int
}

func (l *later) readLine() (line Line, ok bool, err error) {
	for ; l.skip > 0; l.skip-- {
		if _, ok, err := l.source.readLine(); !ok || err != nil {
			return Line{}, false, err
		}
	}
	return l.source.readLine()
}

// openContainer returns the lines that one container's open readers have now. Each of them has as
// many lines at its end as are asked for, so of two readers the first lines of both go.
func openContainer(readers []*reader, opt Options) (source, error) {
	all := func(readers []*reader) *merged {
		m := &merged{}
		for _, r := range readers {
			m.sources = append(m.sources, backlog{r, !opt.Follow})
		}
		return m
	}
	if len(readers) == 1 || opt.Tail <= 0 {
		return all(readers), nil
	}
	lines := 0
	for _, r := range readers {
		n, err := countLines(r, !opt.Follow)
		if err != nil {
			return nil, err
		}
		lines += n
	}
	return &later{all(readers), max(0, lines-opt.Tail)}, nil
}

// countLines returns how many lines a reader has to its limit. The reader stays where it is.
func countLines(r *reader, rest bool) (n int, err error) {
	twin := &reader{
		file: r.file, bounded: true, limit: r.limit, whole: r.whole, f: r.f, info: r.info, pos: r.pos, skip: r.skip, marks: r.marks,
	}
	for {
		line, ok, err := backlog{twin, rest}.readLine()
		if !ok || err != nil {
			return n, err
		}
		if line.Missed == 0 {
			n++
		}
	}
}
