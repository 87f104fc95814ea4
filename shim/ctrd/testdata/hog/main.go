// Command hog takes as much as it may of something that the kernel counts for each user: "signals"
// or "queues". It takes at most the number of its second argument, prints how much it has got, and
// keeps it until it is killed, or until its standard input ends if the third argument is "stdin".
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

func main() {
	most, err := strconv.Atoi(os.Args[2])
	if err != nil {
		panic(err)
	}
	take, limit := signal, unix.RLIMIT_SIGPENDING
	if os.Args[1] == "queues" {
		take, limit = queue, unix.RLIMIT_MSGQUEUE
	}
	var own unix.Rlimit
	if err := unix.Getrlimit(limit, &own); err != nil {
		panic(err)
	}
	runtime.LockOSThread()
	got := 0
	for got < most {
		if err = take(got); err != nil {
			break
		}
		got++
	}
	// The limit can't be raised again.
	own.Cur, own.Max = own.Max+1, own.Max+1
	raised := unix.Setrlimit(limit, &own) == nil
	fmt.Printf("got %d, %v, raised %v.\n", got, err, raised)
	if len(os.Args) > 3 {
		io.Copy(io.Discard, os.Stdin)
		return
	}
	unix.Pause()
}

// signal queues one more signal for this thread, which blocks it.
func signal(n int) error {
	const number = 40
	if n == 0 {
		var set unix.Sigset_t
		set.Val[0] = 1 << (number - 1)
		if err := unix.PthreadSigmask(unix.SIG_BLOCK, &set, nil); err != nil {
			return err
		}
	}
	info := struct {
		signo, errno, code int32
		_                  [116]byte
	}{signo: number, code: -1} // SI_QUEUE
	_, _, err := unix.Syscall6(unix.SYS_RT_TGSIGQUEUEINFO, uintptr(unix.Getpid()), uintptr(unix.Gettid()), number, uintptr(unsafe.Pointer(&info)), 0, 0)
	if err != 0 {
		return err
	}
	return nil
}

// queue makes one more message queue, which goes with this process.
func queue(n int) error {
	name, err := unix.BytePtrFromString(fmt.Sprint("hog", os.Getpid(), "-", n))
	if err != nil {
		return err
	}
	attr := [8]int64{1: 10, 2: 8192} // messages, and bytes of each
	_, _, errno := unix.Syscall6(unix.SYS_MQ_OPEN, uintptr(unsafe.Pointer(name)), unix.O_CREAT|unix.O_EXCL|unix.O_RDWR, 0o600, uintptr(unsafe.Pointer(&attr)), 0, 0)
	if errno != 0 {
		return errno
	}
	if _, _, errno = unix.Syscall(unix.SYS_MQ_UNLINK, uintptr(unsafe.Pointer(name)), 0, 0); errno != 0 {
		return errors.New("unlink: " + errno.Error())
	}
	return nil
}
