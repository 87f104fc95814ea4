package main

import (
	"golang.org/x/sys/unix"
)

// echo returns an ICMP echo request. The kernel fills in a ping socket's id and checksum, and a raw
// IPv6 socket's checksum.
func echo(v6 bool) []byte {
	m := append([]byte{8, 0, 0, 0, 0, 1, 0, 1}, payload...)
	if v6 {
		m[0] = 128
		return m
	}
	var sum uint32
	for i := 0; i < len(m); i += 2 {
		sum += uint32(m[i])<<8 | uint32(m[i+1])
	}
	sum = sum>>16 + sum&0xffff
	sum += sum >> 16
	m[2], m[3] = byte(^sum>>8), byte(^sum)
	return m
}

func icmp(typ int) func(target) (string, error) {
	return func(t target) (string, error) {
		proto := unix.IPPROTO_ICMP
		if t.v6() {
			proto = unix.IPPROTO_ICMPV6
		}
		return within(t, typ, proto, func(fd int) (string, error) {
			to := t
			to.port = 0
			return "", unix.Sendto(fd, echo(t.v6()), 0, to.sockaddr())
		})
	}
}

func ping(t target) (string, error)    { return icmp(unix.SOCK_DGRAM)(t) }
func rawICMP(t target) (string, error) { return icmp(unix.SOCK_RAW)(t) }
