package main

import (
	"errors"
	"net"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

const (
	localExperimental = 0x88b5 // an EtherType
	experimental      = 253    // a protocol of IP
)

var broadcast = [8]byte{255, 255, 255, 255, 255, 255}

// packet makes the kernel build an Ethernet frame that passes no IP hook.
func packet(target) (string, error) {
	return onLink(unix.SOCK_DGRAM, payload)
}

// packetRaw writes the whole frame.
func packetRaw(target) (string, error) {
	frame := append(append(broadcast[:6:6], 2, 0, 0, 0, 0, 1), localExperimental>>8, localExperimental&0xff)
	return onLink(unix.SOCK_RAW, append(frame, payload...))
}

func onLink(typ int, data []byte) (string, error) {
	fd, err := unix.Socket(unix.AF_PACKET, typ|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	link, err := net.InterfaceByName("eth0")
	if err != nil {
		return "", err
	}
	to := &unix.SockaddrLinklayer{Protocol: localExperimental>>8 | localExperimental&0xff<<8, Ifindex: link.Index, Halen: 6, Addr: broadcast}
	return "", unix.Sendto(fd, data, 0, to)
}

// open asks for a socket of a family that has its own way out, and does nothing with it. The
// capture couldn't see what it does.
func open(family, typ, proto int) deed {
	return func(target) (string, error) {
		fd, err := unix.Socket(family, typ|unix.SOCK_CLOEXEC, proto)
		if err != nil {
			return "", err
		}
		return "", unix.Close(fd)
	}
}

// x32 asks for a packet socket by the numbers of the third system call table of amd64. Where that
// is forbidden the kernel kills the thread, and not the process.
func x32(target) (string, error) {
	if runtime.GOARCH != "amd64" {
		return "", unix.ENOSYS
	}
	answer := make(chan unix.Errno)
	go func() {
		runtime.LockOSThread()
		const table = 0x40000000
		_, _, errno := unix.Syscall(table|unix.SYS_SOCKET, unix.AF_PACKET, unix.SOCK_RAW, 0)
		answer <- errno
	}()
	select {
	case errno := <-answer:
		if errno != 0 {
			return "", errno
		}
		return "", nil
	case <-time.After(200 * time.Millisecond):
		return "", errors.New("thread killed")
	}
}

// rawHeader writes its own IP header, with another host's address as the source.
func rawHeader(t target) (string, error) {
	var p []byte
	if t.v6() {
		p = append([]byte{0x60, 0, 0, 0, 0, byte(len(payload)), experimental, 64}, otherSource6...)
		p = append(p, t.ip.To16()...)
	} else {
		p = append([]byte{0x45, 0, 0, 0, 0, 0, 0, 0, 64, experimental, 0, 0}, otherSource4...)
		p = append(p, t.ip.To4()...)
	}
	return within(t, unix.SOCK_RAW, unix.IPPROTO_RAW, func(fd int) (string, error) {
		t.port = 0
		return "", unix.Sendto(fd, append(p, payload...), 0, t.sockaddr())
	})
}
