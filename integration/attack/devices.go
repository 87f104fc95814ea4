package main

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// devices are the ways to a device that a container is not given. The app of the attackers has one
// at givenDevice, if the host has it.
var devices = map[string]deed{
	"device-given": func(target) (string, error) { return "", openDevice(givenDevice, unix.O_RDONLY) },
	"device-write": func(target) (string, error) { return "", openDevice(givenDevice, unix.O_WRONLY) },
	"device-make":  func(target) (string, error) { return "", makeTunIn("/dev") },
	"device-bus":   func(target) (string, error) { return "", makeAndOpen("/dev", unix.S_IFCHR, 10, 237) },
	"device-disk":  func(target) (string, error) { return "", makeAndOpen("/dev", unix.S_IFBLK, 7, 0) },
	"device-line":  func(target) (string, error) { return "", setLine() },
}

const givenDevice = "/dev/given"

// setLine puts a new terminal under the line discipline that it has already, N_TTY: a kernel that
// has no other takes that too.
func setLine() error {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var line int32
	return ioctl(fd, unix.TIOCSETD, unsafe.Pointer(&line))
}

func openDevice(path string, flags int) error {
	fd, err := unix.Open(path, flags|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}
