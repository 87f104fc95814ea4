package secrets

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/spec"
)

// TestRootSecrets follows the secrets of one group through their life.
func TestRootSecrets(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	ctx := t.Context()
	l := layout.Layout{RunDir: t.TempDir()}
	s := New(l)
	dir := l.SecretsPath("shop")
	t.Cleanup(func() { _ = s.Remove(context.Background(), "shop") })
	path := file(t, "pass", "one", 0o600)
	set := func(text string) { // long ago, so that it is settled
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want := &spec.Group{
		Name: "shop",
		Secrets: []spec.Secret{
			{Name: "pass", File: path},
			{Name: "token", Command: []string{script(t, "printf "+value)}, Timeout: time.Minute},
		},
		Containers: []spec.Container{
			{Name: "web", Secrets: []spec.SecretUse{{Name: "pass"}, {Name: "token", Mode: 0o440, Reload: "SIGHUP"}}},
			{Name: "kept", Secrets: []spec.SecretUse{{Name: "pass", OnChange: spec.OnChangeNone}}},
			{Name: "filed", Files: []spec.File{{Path: "/f", Content: []byte("\x00pass\x00"), Secrets: []string{"pass"}, Reload: "SIGHUP"}}},
			{Name: "without"},
		},
	}
	hold := func(names ...string) []string {
		t.Helper()
		read, err := s.Hold(ctx, want, names)
		if err != nil {
			t.Fatal(err)
		}
		return read.Changed
	}
	place := func(name string) Given {
		t.Helper()
		c := want.Container(name)
		g, err := Look(l, "shop", c)
		if err == nil {
			err = g.Place(c.Secrets, map[string][2]uint32{"pass": {1, 2}, "token": {0, 3}})
		}
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	observed := func(want *spec.Group) string {
		t.Helper()
		o, err := s.Observe(ctx, "shop", want)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("held %v, untold %v, cut %v, problems %d", o.Held, o.Untold, o.Cut, len(o.Problems))
	}
	expect := func(what, text string) {
		t.Helper()
		if got := observed(want); got != text {
			t.Errorf("%s: %s, want %s", what, got, text)
		}
	}
	awaitUnheld := func() { // until a change of the file is old enough to be read
		t.Helper()
		for range 1200 {
			if strings.HasPrefix(observed(want), "held [token]") {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
		t.Fatal("the change is not seen")
	}
	has := func(container, name, text string, own owner) {
		t.Helper()
		at := filepath.Join(GivenPath(l, "shop", container), name)
		got, err := os.ReadFile(at)
		if o, _ := ownerOf(at); err != nil || string(got) != text || o != own {
			t.Errorf("%s of %s is %q of %+v (%v)", name, container, got, o, err)
		}
	}

	expect("before", "held [], untold map[], cut [], problems 0")
	if got := hold(); !slices.Equal(got, []string{"pass", "token"}) {
		t.Errorf("held for the first time: %v", got)
	}
	expect("held", "held [pass token], untold map[], cut [web kept filed], problems 0")
	for _, name := range []string{"web", "kept", "filed", "without"} {
		place(name)
	}
	expect("given", "held [pass token], untold map[], cut [], problems 0")
	has("web", "pass", "one", owner{1, 2, 0o400})
	has("web", "token", value, owner{0, 3, 0o440})
	if _, err := os.Lstat(GivenPath(l, "shop", "without")); err == nil {
		t.Error("a container without secrets has a folder")
	}
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil || st.Mode&0o777 != 0o700 {
		t.Errorf("mode %o (%v)", st.Mode, err)
	}

	if got := hold("pass", "token"); len(got) != 0 { // the same values
		t.Errorf("read again: %v", got)
	}
	set("two")
	awaitUnheld()
	expect("the file has changed", "held [token], untold map[], cut [], problems 0")
	// A reader of what a container has finds a whole value at each moment.
	shown, err := os.Open(filepath.Join(GivenPath(l, "shop", "web"), "pass"))
	if err != nil {
		t.Fatal(err)
	}
	defer shown.Close()
	if got := hold("pass"); !slices.Equal(got, []string{"pass"}) {
		t.Errorf("changed: %v", got)
	}
	before := make([]byte, 9)
	if n, _ := shown.Read(before); string(before[:n]) != "one" {
		t.Errorf("what was open is %q", before[:n])
	}
	has("web", "pass", "two", owner{1, 2, 0o400})
	expect("another value", "held [pass token], untold map[filed:[pass] web:[pass]], cut [], problems 0")
	g, err := Look(l, "shop", want.Container("filed"))
	if err != nil {
		t.Fatal(err)
	}
	if names, err := g.Untold(); err != nil || !slices.Equal(names, []string{"pass"}) {
		t.Errorf("untold %v (%v)", names, err)
	}
	if err := g.Told([]string{"pass"}); err != nil {
		t.Fatal(err)
	}
	place("web")
	expect("told", "held [pass token], untold map[], cut [], problems 0")

	// The source is gone, and then bad: the value stays, and another daemon has it too.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	s = New(l)
	expect("no file", "held [pass token], untold map[], cut [], problems 1")
	if got := hold("pass", "token"); len(got) != 0 {
		t.Errorf("read again: %v", got)
	}
	has("web", "pass", "two", owner{1, 2, 0o400})
	want.Secrets[0].File = "/nowhere"
	if _, err := s.Hold(ctx, want, nil); err == nil || !strings.Contains(hint.Text(err), "there is no file /nowhere") {
		t.Errorf("another source: %v", err)
	}
	has("web", "pass", "two", owner{1, 2, 0o400})
	set("three")
	want.Secrets[0].File = path
	hold("pass")

	// A daemon that ended before it had placed a value: the next one does.
	all, err := readHeld(dir)
	if err != nil {
		t.Fatal(err)
	}
	h := all["pass"]
	if h.Version, err = keep(dir, "pass", h.Version, []byte("four")); err != nil {
		t.Fatal(err)
	}
	all["pass"] = h
	if err := writeJSON(dir, filepath.Join(dir, "held.json"), all); err != nil {
		t.Fatal(err)
	}
	set("four")
	if got := observed(want); !strings.HasPrefix(got, "held [token]") {
		t.Errorf("not placed: %s", got)
	}
	hold("pass")
	has("kept", "pass", "four", owner{1, 2, 0o400})
	expect("placed", "held [pass token], untold map[filed:[pass] web:[pass]], cut [], problems 0")

	// Programs keep earlier values open until there is no room for another one. The value stays,
	// and what a program was told is noted all the same. With room, the other value comes.
	ballast := filepath.Join(dir, "given", "ballast")
	f, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{1 << 20, 1} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
	}
	if err := errors.Join(f.Close(), err); !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	set("five")
	awaitUnheld()
	if got := hold("pass"); len(got) != 0 {
		t.Errorf("without room: %v", got)
	}
	has("kept", "pass", "four", owner{1, 2, 0o400})
	expect("no room", "held [pass token], untold map[filed:[pass] web:[pass]], cut [], problems 1")
	if o, err := s.Observe(ctx, "shop", want); err != nil || !strings.Contains(o.Problems["pass"], "secret pass keeps its value: there is no room for another one") {
		t.Errorf("the problem is %q (%v)", o.Problems["pass"], err)
	}
	if g, err = Look(l, "shop", want.Container("filed")); err != nil {
		t.Fatal(err)
	}
	if err := g.Told([]string{"pass"}); err != nil {
		t.Errorf("told without room: %v", err)
	}
	expect("told without room", "held [pass token], untold map[web:[pass]], cut [], problems 1")
	more := spec.Container{Name: "more", Secrets: []spec.SecretUse{{Name: "pass"}}}
	if g, err = Look(l, "shop", &more); err != nil {
		t.Fatal(err)
	}
	if err := g.Place(more.Secrets, nil); err == nil || !strings.Contains(err.Error(), "at most 64MiB together") || !strings.Contains(hint.Of(err), "keep earlier values open") {
		t.Errorf("another container without room: %v", err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	expect("room again", "held [token], untold map[web:[pass]], cut [], problems 0")
	hold("pass")
	has("kept", "pass", "five", owner{1, 2, 0o400})

	// One fewer, and none.
	if err := Forget(l, "shop", "kept"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(GivenPath(l, "shop", "kept")); err == nil {
		t.Error("what a removed container was given is left")
	}
	want.Secrets = want.Secrets[:1]
	if err := os.Remove(filepath.Join(dir, "new")); err != nil { // a daemon ended in the middle
		t.Fatal(err)
	}
	hold()
	if names, _ := filepath.Glob(filepath.Join(dir, "values", "*")); len(names) != 1 || !strings.HasPrefix(filepath.Base(names[0]), "pass@") {
		t.Errorf("values %v", names)
	}
	if groups, err := s.Groups(ctx); err != nil || !slices.Equal(groups, []string{"shop"}) {
		t.Errorf("groups %v (%v)", groups, err)
	}
	for range 2 {
		if err := s.Remove(ctx, "shop"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Lstat(dir); !os.IsNotExist(err) {
		t.Errorf("%s is left: %v", dir, err)
	}

	// What others have mounted there is no place for a value.
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("proc", dir, "proc", 0, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Hold(ctx, want, nil); err == nil || !strings.Contains(err.Error(), "no file system in memory") {
		t.Errorf("on a disk: %v", err)
	}
}

// Watch reports a file that is renamed over another one, and one that is written in place.
func TestWatch(t *testing.T) {
	t.Parallel()
	s := New(layout.Layout{RunDir: t.TempDir()})
	path := file(t, "pass", "one", 0o600)
	ctx, cancel := context.WithCancel(t.Context())
	ended, told := make(chan struct{}), make(chan string, 10)
	go func() {
		defer close(ended)
		_ = s.Watch(ctx, func(group string) { told <- group })
	}()
	s.watch("shop", &spec.Group{Secrets: []spec.Secret{{Name: "pass", File: path}}})
	await := func() {
		t.Helper()
		for tries := 0; ; tries++ { // the watch begins at some time
			if err := os.WriteFile(path, []byte{byte(tries)}, 0o600); err != nil {
				t.Fatal(err)
			}
			select {
			case group := <-told:
				if group != "shop" {
					t.Errorf("it is group %s", group)
				}
				return
			case <-time.After(3 * time.Second):
				if tries == 20 {
					t.Fatal("no change was reported")
				}
			}
		}
	}
	await()
	s.watch("shop", nil)
	if groups := s.groupsAt(filepath.Dir(path)); len(groups) != 0 {
		t.Errorf("the groups %v are watched", groups)
	}
	cancel()
	<-ended
}
