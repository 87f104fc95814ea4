package netnsbench

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

type loadRequest struct {
	Op  loadOp
	To  netip.Addr
	For time.Duration
}

type loadReply struct {
	Value float64
	Error string `json:",omitempty"`
}

// warmUp is the divisor of the time of a measurement that gives the time of its warm-up.
const warmUp = 10

func (r loadRequest) measure() (float64, error) {
	do := map[loadOp]func(time.Duration) (float64, error){
		opStream: r.stream, opAsk: r.ask, opCall: r.calls,
		opRefuseTCP: r.refuseTCP, opRefuseUDP: r.refuseUDP, opSendUDP: r.sendUDP,
	}[r.Op]
	if do == nil {
		return 0, errors.New("no such operation")
	}
	if _, err := do(r.For / warmUp); err != nil {
		return 0, err
	}
	return do(r.For)
}

// connect opens a connection and sends its purpose.
func (r loadRequest) connect(port int, want byte) (*net.TCPConn, error) {
	c, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(netip.AddrPortFrom(r.To, uint16(port))))
	if err != nil {
		return nil, err
	}
	if _, err := c.Write([]byte{want}); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// stream returns Gbit/s. The other side counts the bytes, and the time ends when it has read all.
func (r loadRequest) stream(d time.Duration) (float64, error) {
	c, err := r.connect(LoadPort, wantSink)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	buf := make([]byte, chunk)
	began := time.Now()
	for time.Since(began) < d {
		if _, err := c.Write(buf); err != nil {
			return 0, err
		}
	}
	if err := c.CloseWrite(); err != nil {
		return 0, err
	}
	var count [8]byte
	if _, err := io.ReadFull(c, count[:]); err != nil {
		return 0, fmt.Errorf("read the other side's count: %w", err)
	}
	return float64(binary.BigEndian.Uint64(count[:])) * 8 / float64(time.Since(began).Nanoseconds()), nil
}

// ask returns the median time of a request in microseconds.
func (r loadRequest) ask(d time.Duration) (float64, error) {
	c, err := r.connect(LoadPort, wantEcho)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	buf := make([]byte, 64)
	return medianOf(d, func() (time.Duration, error) {
		began := time.Now()
		if _, err := c.Write(buf); err != nil {
			return 0, err
		}
		_, err := io.ReadFull(c, buf)
		return time.Since(began), err
	})
}

// calls returns connections a second, from the median time of one.
func (r loadRequest) calls(d time.Duration) (float64, error) {
	buf, n := []byte{0}, 0
	us, err := medianOf(d, func() (time.Duration, error) {
		began := time.Now()
		n++
		c, err := r.connect(LoadPort+n%LoadPorts, wantEcho)
		if err != nil {
			return 0, err
		}
		if _, err = c.Write(buf); err == nil {
			_, err = c.Read(buf)
		}
		c.Close()
		return time.Since(began), err
	})
	return 1e6 / us, err
}

// refuseTCP returns the median time of a connect that is refused, in microseconds.
func (r loadRequest) refuseTCP(d time.Duration) (float64, error) {
	domain, to := loadSockaddr(r.To, LoadPort)
	return medianOf(d, func() (time.Duration, error) {
		return timed(domain, unix.SOCK_STREAM, unix.ECONNREFUSED, func(fd int) error { return unix.Connect(fd, to) })
	})
}

// refuseUDP returns the median time of a send that is refused, in microseconds.
func (r loadRequest) refuseUDP(d time.Duration) (float64, error) { return r.send(d, unix.EPERM) }

// sendUDP returns the median time of a send that succeeds, in microseconds.
func (r loadRequest) sendUDP(d time.Duration) (float64, error) { return r.send(d, nil) }

func (r loadRequest) send(d time.Duration, want error) (float64, error) {
	domain, to := loadSockaddr(r.To, LoadPort)
	return medianOf(d, func() (time.Duration, error) {
		return timed(domain, unix.SOCK_DGRAM, want, func(fd int) error { return unix.Sendto(fd, []byte("x"), 0, to) })
	})
}

// timed makes a socket and returns how long do takes with it. do must return the error want.
func timed(domain, kind int, want error, do func(fd int) error) (time.Duration, error) {
	fd, err := unix.Socket(domain, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	began := time.Now()
	got := do(fd)
	took := time.Since(began)
	if !errors.Is(got, want) {
		return 0, fmt.Errorf("came to %v, want %v", got, want)
	}
	return took, nil
}

func medianOf(d time.Duration, do func() (time.Duration, error)) (float64, error) {
	var took []time.Duration
	for began := time.Now(); time.Since(began) < d; {
		t, err := do()
		if err != nil {
			return 0, err
		}
		took = append(took, t)
	}
	if len(took) == 0 {
		return 0, errors.New("nothing was measured")
	}
	slices.Sort(took)
	return float64(took[len(took)/2].Nanoseconds()) / 1000, nil
}
