package main

import (
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"time"
)

// loop never stops trying. It is the first thing its container runs. After the first moment it leaves others a share of the
// machine: pause is between two rounds.
func loop(host string, port int, pause time.Duration) {
	to := target{ip: net.ParseIP(host), port: port}
	for first := time.Now(); ; {
		tcp(to)
		udp(to)
		if time.Since(first) > 200*time.Millisecond {
			time.Sleep(pause)
		}
	}
}

// flood tries as fast as it can, each thread over addresses of its own: every destination is another.
func flood(threads int) {
	for n := range threads {
		go func() {
			to := target{ip: net.IPv4(198, 51, 100, 66).To4(), port: 80}
			for i := uint32(n); ; i += uint32(threads) {
				// All of 198.18.0.0/15, for benchmarks, and all ports.
				binary.BigEndian.PutUint32(to.ip, 0xc6120000|i&0x1ffff)
				to.port = int(i>>3&0xffff) | 1
				if n%2 == 0 {
					tcp(to)
				} else {
					udp(to)
				}
			}
		}()
	}
	select {}
}

// visit asks the world for an echo, over and over, and counts: one line a second with how many were answered and how many not.
func visit(host string, port int, pause time.Duration) {
	to := target{ip: net.ParseIP(host), port: port}
	answered, lost := 0, 0
	for tick := time.Now(); ; time.Sleep(pause) {
		if reply, err := tcp(to); err == nil && reply != "" {
			answered++
		} else {
			lost++
			fmt.Fprintln(os.Stderr, "lost:", err)
		}
		if time.Since(tick) > time.Second {
			fmt.Println("answered", answered, "lost", lost)
			tick = time.Now()
		}
	}
}
