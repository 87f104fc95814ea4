package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// loop never stops trying. It is the first thing its container runs. After the first moment it
// leaves some processor time to others: it sleeps for pause between two rounds.
func loop(hosts string, port int, pause time.Duration) {
	for first := time.Now(); ; {
		for host := range strings.SplitSeq(hosts, ",") {
			to := target{net.ParseIP(host), port}
			tcp(to)
			udp(to)
		}
		if time.Since(first) > 100*time.Millisecond {
			time.Sleep(pause)
		}
	}
}

// flood tries as fast as it can, and prints how often. Each thread has addresses of its own, and
// uses each destination once.
func flood(threads int) {
	var tried atomic.Int64
	for n := range threads {
		go func() {
			for i := uint32(n); ; i += uint32(threads) {
				act, to := tcp, floodTarget(n%4 < 2, i)
				if n%2 == 0 {
					act = udp
				}
				act(to)
				tried.Add(1)
			}
		}()
	}
	for range time.Tick(200 * time.Millisecond) {
		fmt.Println("tried", tried.Load())
	}
}

// floodTarget returns an address of 198.18.0.0/15, which is for benchmarks, or one of as many for
// IPv6, and one of many ports.
func floodTarget(v6 bool, i uint32) target {
	to := target{ip: net.IPv4(198, 18, 0, 0).To4(), port: int(i>>3&0xffff) | 1}
	if v6 {
		to.ip = net.ParseIP("2001:db8:18::")
	}
	last := to.ip[len(to.ip)-4:]
	binary.BigEndian.PutUint32(last, binary.BigEndian.Uint32(last)|i&0x1ffff)
	return to
}

// visit asks for an echo, over and over, and prints how many were answered and how many were not.
func visit(host string, port int, pause time.Duration) {
	answered, lost := 0, 0
	for tick := time.Now(); ; time.Sleep(pause) {
		if err := echoed(net.JoinHostPort(host, fmt.Sprint(port))); err == nil {
			answered++
		} else {
			lost++
			fmt.Fprintln(os.Stderr, "lost:", err)
		}
		if time.Since(tick) > 200*time.Millisecond {
			fmt.Println("answered", answered, "lost", lost)
			tick = time.Now()
		}
	}
}

// echoed waits for an echo as long as a client would.
func echoed(addr string) error {
	const patience = 10 * time.Second
	c, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Write(payload); err != nil {
		return err
	}
	_, err = io.ReadFull(c, make([]byte, len(payload)))
	return err
}
