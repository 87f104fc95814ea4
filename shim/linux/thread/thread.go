// Package thread runs what changes a thread for good: its mount namespace, or its user.
package thread

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// Run runs do on a thread that ends afterwards. Go can't end the first thread of the process: it
// would stay where do has left it, and /proc/self would show that. So that one waits for another. A
// panic of do is the caller's.
func Run(do func()) {
	var failed any
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { failed = recover() }()
		runtime.LockOSThread() // and never unlock: the thread ends with the goroutine
		if unix.Gettid() == unix.Getpid() {
			defer runtime.UnlockOSThread()
			Run(do)
			return
		}
		do()
	}()
	<-done
	if failed != nil {
		panic(failed)
	}
}
