package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/containerd/console"
	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/host"
)

// A fakeTerminal is a terminal with as much of its language as a screen uses. Anything else is an
// error.
type fakeTerminal struct {
	t             *testing.T
	width, height int

	mu     sync.Mutex
	lines  [][]rune // with those that have left the terminal at its top
	row    int
	column int
	draws  []time.Time
}

var sequence = regexp.MustCompile(`^\x1b\[(\d*)([AJ])`)

// drawings returns how often it was drawn on.
func (f *fakeTerminal) drawings() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.draws)
}

func (f *fakeTerminal) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.draws = append(f.draws, time.Now())
	for rest := string(p); rest != ""; {
		if m := sequence.FindStringSubmatch(rest); m != nil {
			rest = rest[len(m[0]):]
			f.obey(m[2], m[1])
			continue
		}
		r, size := utf8.DecodeRuneInString(rest)
		rest = rest[size:]
		switch {
		case r == '\n':
			f.row, f.column = f.row+1, 0
		case r == '\r':
			f.column = 0
		case r < ' ' && r != '\t' || r == 0x7f:
			f.t.Errorf("a control character %q is printed", r)
		default:
			if f.column == f.width {
				f.row, f.column = f.row+1, 0
			}
			f.line()
			f.lines[f.row] = append(f.lines[f.row][:f.column], r)
			f.column++
		}
		f.line()
	}
	return len(p), nil
}

// line makes sure that the cursor's line exists.
func (f *fakeTerminal) line() {
	for len(f.lines) <= f.row {
		f.lines = append(f.lines, nil)
	}
}

func (f *fakeTerminal) obey(command, number string) {
	switch command {
	case "A":
		n, _ := strconv.Atoi(number)
		f.row = max(f.row-n, len(f.lines)-f.height, 0)
	case "J":
		f.lines = f.lines[:f.row+1]
		f.lines[f.row] = f.lines[f.row][:f.column]
	}
}

// text returns all that was printed and has not been erased.
func (f *fakeTerminal) text() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out strings.Builder
	for _, line := range f.lines {
		out.WriteString(string(line) + "\n")
	}
	return strings.TrimSuffix(out.String(), "\n")
}

func newFakeTerminal(t *testing.T, width, height int) (*fakeTerminal, *inPlace) {
	f := &fakeTerminal{t: t, width: width, height: height}
	return f, &inPlace{w: f, size: func() screen { return screen{width: f.width, height: f.height} }}
}

// A story has all that a daemon reports during an apply of two groups.
func story(p *progress, look func(when string)) {
	import_ := func(done int64, ms int64, ended bool) {
		p.transfer(host.Transfer{Image: "oci-archive:/images/app.tar", Stage: host.Importing, Done: done << 20, Total: 900 << 20, Milliseconds: ms, Ended: ended})
	}
	time.Sleep(1300 * time.Millisecond)
	look("before the first line")
	import_(0, 0, false)
	p.transfer(host.Transfer{Image: "docker.io/library/haproxy:3.2", Stage: host.Pulling, Done: 12 << 20, Total: 41 << 20})
	time.Sleep(time.Second)
	import_(100, 1000, false)
	p.transfer(host.Transfer{Image: "docker.io/library/haproxy:3.2", Stage: host.Pulling, Done: 15 << 20, Total: 41 << 20})
	time.Sleep(time.Second)
	look("two images")
	p.transfer(host.Transfer{Image: "docker.io/library/haproxy:3.2", Stage: host.Pulling, Done: 41 << 20, Total: 41 << 20, Milliseconds: 2100, Ended: true})
	p.transfer(host.Transfer{Image: "oci-archive:/images/app.tar", Stage: host.Unpacking, Done: 900 << 20, Total: 900 << 20})
	time.Sleep(2 * time.Second)
	look("unpacking")
	import_(900, 4200, true)
	p.line("shop: create proxy (ambassador), web (app)")
	p.line("cart: create app (app)")
	time.Sleep(300 * time.Millisecond)
	look("creating")
	p.line("shop: start proxy (ambassador)")
	p.line("cart: running")
	p.line("warning: the state can't be written to disk now")
	p.line("shop: waits for web (app) to be ready: GET http://127.0.0.1:8080/ answers 503")
	time.Sleep(17 * time.Second)
	look("waiting")
	p.line("shop: running")
}

// What is in work is drawn in place, and the lines that stay are those of a pipe.
func TestProgressOnATerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		term, s := newFakeTerminal(t, 100, 24)
		u := &ui{err: io.Discard}
		p := u.waitOn(s, "for its turn")
		var drawn strings.Builder
		story(p, func(when string) {
			synctest.Wait()
			fmt.Fprintf(&drawn, "--- %s\n%s", when, term.text())
		})
		p.end()
		want := `--- before the first line
waiting for its turn  1s
--- two images
import /images/app.tar  100/900 MiB 50 MiB/s
pull docker.io/library/haproxy:3.2  15/41 MiB 1.5 MiB/s
--- unpacking
sallyport: pulled docker.io/library/haproxy:3.2: 41 MiB in 2.1s
unpack /images/app.tar  1s
--- creating
sallyport: pulled docker.io/library/haproxy:3.2: 41 MiB in 2.1s
sallyport: imported /images/app.tar: 900 MiB in 4.2s
shop: create proxy (ambassador), web (app)
cart: create app (app)
--- waiting
sallyport: pulled docker.io/library/haproxy:3.2: 41 MiB in 2.1s
sallyport: imported /images/app.tar: 900 MiB in 4.2s
sallyport: shop: create proxy (ambassador), web (app)
sallyport: cart: create app (app)
sallyport: warning: the state can't be written to disk now
sallyport: shop: start proxy (ambassador)
shop: waits for web (app) to be ready: GET http://127.0.0.1:8080/ answers 503  17s
(Ctrl-C ends the waiting, not the work)
`
		if diff := cmp.Diff(want, drawn.String()); diff != "" {
			t.Errorf("drawn (-want +got):\n%s", diff)
		}

		var piped syncBuilder
		p = (&ui{err: &piped}).waitOn(nil, "for its turn")
		story(p, func(string) {})
		p.end()
		lines := func(text string) map[string]int {
			counts := map[string]int{}
			for line := range strings.Lines(text) {
				if !strings.Contains(line, "still at") {
					counts[line]++
				}
			}
			return counts
		}
		if diff := cmp.Diff(lines(piped.String()), lines(term.text())); diff != "" {
			t.Errorf("the lines that stay (-pipe +terminal):\n%s", diff)
		}
	})
}

// A flood of reports is drawn four times a second, and a wait once a second.
func TestProgressDrawsSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		term, s := newFakeTerminal(t, 80, 24)
		p := (&ui{err: io.Discard}).waitOn(s, "for its turn")
		for i := range int64(10_000) {
			p.transfer(host.Transfer{Image: "a:1", Stage: host.Pulling, Done: i, Total: 10_000})
			if i > 5_000 {
				p.line(fmt.Sprintf("shop: step %d", i%7))
			}
			time.Sleep(time.Millisecond)
		}
		if n := term.drawings(); n < 35 || n > 41 {
			t.Errorf("%d drawings in 10s", n)
		}
		before := term.drawings()
		time.Sleep(time.Minute)
		if n := term.drawings() - before; n < 55 || n > 62 {
			t.Errorf("%d drawings in a minute in which nothing comes", n)
		}
		p.end()
		before = term.drawings()
		time.Sleep(time.Minute)
		if term.drawings() != before {
			t.Error("it draws after its end")
		}
	})
}

// A command that ends at once has drawn nothing in place.
func TestProgressOfAShortWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		term, s := newFakeTerminal(t, 80, 24)
		p := (&ui{err: io.Discard}).waitOn(s, "for its turn")
		time.Sleep(redraw - time.Millisecond)
		p.line("shop: start web (app)")
		p.line("shop: running")
		p.end()
		if term.drawings() != 1 || term.text() != "sallyport: shop: start web (app)\n" {
			t.Errorf("%d drawings: %q", term.drawings(), term.text())
		}
	})
}

// What is in work never takes more than the terminal has.
func TestProgressOnASmallTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, height := range []int{1, 2, 5} {
			term, s := newFakeTerminal(t, 20, height)
			p := (&ui{err: io.Discard}).waitOn(s, "for its turn")
			for i := range 30 {
				p.line(fmt.Sprintf("group-%d: start something with a long name", i))
				p.transfer(host.Transfer{Image: fmt.Sprintf("docker.io/library/näme%d:1.37", i), Stage: host.Pulling, Done: 500 << 10, Total: 1 << 20})
				time.Sleep(redraw)
			}
			synctest.Wait()
			lines := strings.Split(strings.TrimSuffix(term.text(), "\n"), "\n")
			if len(lines) > max(1, height-1) {
				t.Errorf("height %d: %d lines:\n%s", height, len(lines), term.text())
			}
			for _, line := range lines {
				if len([]rune(line)) > 19 {
					t.Errorf("height %d: a line of %d characters: %q", height, len([]rune(line)), line)
				}
			}
			if height == 5 && lines[3] != "and 57 more" {
				t.Errorf("the last line is %q", lines[3])
			}
			p.end()
		}
	})
}

// A terminal that was made narrower has wrapped what was drawn: all of it is erased.
func TestScreenAfterAResize(t *testing.T) {
	var out bytes.Buffer
	width := 40
	s := &inPlace{w: &out, size: func() screen { return screen{width: width, height: 24} }}
	s.draw(&ui{}, nil, []liveLine{{"a line of 30 characters, as is", ""}, {"short", ""}})
	out.Reset()
	width = 20
	s.draw(&ui{}, []string{"stays"}, nil)
	if got, want := out.String(), "\r\x1b[3A\x1b[Jsallyport: stays\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Text of a container or an image can't reach the terminal.
func TestProgressShowsWhatATerminalWouldActOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		term, s := newFakeTerminal(t, 200, 24) // which complains
		p := (&ui{err: io.Discard}).waitOn(s, "for its turn")
		p.line("shop: web (app) ended; its last output: \x1b[2J\x9b\r\n\tforged")
		p.transfer(host.Transfer{Image: "evil\x1b]0;title\a:1", Stage: host.Pulling})
		time.Sleep(time.Second)
		p.transfer(host.Transfer{Image: "evil\x1b]0;title\a:1", Stage: host.Pulling, Ended: true})
		p.end()
		want := "sallyport: pulled evil\\u001b]0;title\\u0007:1 in 0s\nsallyport: shop: web (app) ended; its last output: \\u001b[2J\\x9b; \tforged\n"
		if diff := cmp.Diff(want, term.text()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// Standard error is drawn on if it is a terminal that can move its cursor.
func TestScreenOfStandardError(t *testing.T) {
	master, slave := openPTY(t)
	if err := master.Resize(console.WinSize{Width: 70, Height: 10}); err != nil {
		t.Fatal(err)
	}
	pipe, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	defer in.Close()
	for _, tt := range []struct {
		name    string
		err     *os.File
		environ []string
		want    bool
	}{
		{"a terminal", slave, []string{"TERM=xterm"}, true},
		{"without colour", slave, []string{"TERM=xterm", "NO_COLOR=1"}, true},
		{"dumb", slave, []string{"TERM=dumb"}, false},
		{"of no name", slave, nil, false},
		{"a pipe", in, []string{"TERM=xterm"}, false},
	} {
		if s := newUI(os.Stdin, in, tt.err, tt.environ).inPlace(); (s != nil) != tt.want {
			t.Errorf("%s: drawn on: %v", tt.name, s != nil)
		}
	}

	u := newUI(os.Stdin, in, slave, []string{"TERM=xterm", "NO_COLOR=1"})
	p := u.wait("for its turn")
	if s := p.screen.size(); s.width != 70 || s.height != 10 {
		t.Errorf("the terminal has %d columns and %d lines", s.width, s.height)
	}
	p.line("shop: start web (app)")
	read := make([]byte, 1<<12)
	n, err := master.Read(read) // comes from the timer
	if err != nil || string(read[:n]) != "shop: start web (app)\r\n" {
		t.Errorf("drawn %q, %v", read[:n], err)
	}
	p.end()
	if n, err = master.Read(read); err != nil || string(read[:n]) != "\r\x1b[1A\x1b[Jsallyport: shop: start web (app)\r\n" {
		t.Errorf("at the end %q, %v", read[:n], err)
	}
}
