package egress

import (
	"cmp"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/helper"
)

// separated finds out whether abstract unix sockets can be separated. A kernel that can't is no
// failure. A kernel that lists bpf among its security modules has to hold what it says.
func (t *selfTest) separated(member, ambassador *helper.Process) error {
	for _, path := range []string{t.members, t.ambassador} {
		if t.verdict.Joined = separate(t.hierarchies, path); t.verdict.Joined != nil {
			return nil
		}
	}
	const hint = "this is a fault of the kernel or of Sallyport: report it, and boot without bpf in lsm= meanwhile"
	for _, kind := range []int{unix.SOCK_STREAM, unix.SOCK_DGRAM} {
		for _, x := range []struct{ from, to *helper.Process }{{member, member}, {ambassador, ambassador}} {
			if err := abstract(x.from, x.to, kind); err != nil {
				return &SelfTestError{What: "abstract unix sockets of one side don't reach each other", Err: err, Hint: hint}
			}
		}
		for _, x := range []struct{ from, to *helper.Process }{{member, ambassador}, {ambassador, member}} {
			err := abstract(x.from, x.to, kind)
			if errors.Is(err, unix.EPERM) {
				continue
			}
			active, errActive := bpfIsActive()
			if !active {
				t.verdict.Joined = cmp.Or(errActive, errors.New("bpf is not among the kernel's active security modules"))
				return nil
			}
			return &SelfTestError{What: "abstract unix sockets join members and ambassador, and bpf is among the security modules: " + answer(err), Hint: hint}
		}
	}
	return nil
}

// abstract makes an abstract socket of one process and has the other connect or send to it.
func abstract(from, to *helper.Process, kind int) error {
	const name = "@sallyport-selftest"
	receiver, err := to.Socket(unix.AF_UNIX, kind, 0)
	if err != nil {
		return err
	}
	defer receiver.Close()
	if err := receiver.BindUnix(name); err != nil {
		return fmt.Errorf("bind %s: %s", name, answer(err))
	}
	sender, err := from.Socket(unix.AF_UNIX, kind, 0)
	if err != nil {
		return err
	}
	defer sender.Close()
	if kind == unix.SOCK_DGRAM {
		return sender.SendToUnix(name, "x")
	}
	if err := receiver.Listen(); err != nil {
		return err
	}
	return sender.ConnectUnix(name)
}
