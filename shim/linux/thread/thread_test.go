package thread

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

func isFirstThread() bool { return unix.Gettid() == unix.Getpid() }

// onFirstThread runs do in a goroutine on the process's first thread. It reports whether there was
// a way.
func onFirstThread(do func()) bool {
	release := make(chan struct{})
	defer close(release)
	for range 100 { // each goroutine occupies a thread, until the first one is left
		first := make(chan bool)
		go func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			if isFirstThread() {
				runtime.UnlockOSThread()
				do()
				runtime.LockOSThread()
				first <- true
				return
			}
			first <- false
			<-release
		}()
		if <-first {
			return true
		}
	}
	return false
}

// Go can't end the first thread of a process. In a container's mount namespace it would keep that
// alive, and what /proc shows of the daemon would be the container's.
func TestRunIsNotOnTheFirst(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	plain := 0
	for n := 0; n < 100 || plain == 0 && n < 5000; n++ {
		onFirstThread(func() {
			Run(func() {
				if isFirstThread() {
					t.Error("the first thread of the process has been used")
				}
			})
		})
		if t.Failed() {
			return
		}
		onFirstThread(func() {
			done := make(chan struct{})
			go func() {
				defer close(done)
				if isFirstThread() {
					plain++
				}
			}()
			<-done
		})
	}
	if plain == 0 {
		t.Error("no goroutine has come to the first thread: this proves nothing")
	}
}

// A request that panics in there is answered, as any other.
func TestRunPanics(t *testing.T) {
	defer func() {
		if p := recover(); p != "oh" {
			t.Errorf("recovered %v", p)
		}
	}()
	Run(func() { panic("oh") })
}
