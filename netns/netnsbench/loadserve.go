package netnsbench

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// loadName is argv[0] of a load's process, and loadCPU its variable for the processor it runs on.
const (
	loadName = "sallyport-load"
	loadCPU  = "SALLYPORT_LOAD_CPU"
)

// The ports that a load serves. There are many, because the last connections of callers are in
// TIME-WAIT and occupy pairs of ports.
const (
	LoadPort  = 7000
	LoadPorts = 16
)

type loadOp string

const (
	opServe     loadOp = "serve"
	opStream    loadOp = "stream"
	opAsk       loadOp = "ask"
	opCall      loadOp = "call"
	opRefuseTCP loadOp = "refuse TCP"
	opRefuseUDP loadOp = "refuse UDP"
	opSendUDP   loadOp = "send UDP"
)

// chunk is the most bytes written or read at once.
const chunk = 128 << 10

// The first byte of a connection is its purpose.
const (
	wantSink = 's' // the server counts the bytes and sends the count at the end
	wantEcho = 'e' // the server sends every byte back
)

// loadMain serves requests and ends the process, if this process was started as a load. Otherwise
// it returns at once.
func loadMain() {
	if len(os.Args) == 0 || os.Args[0] != loadName {
		return
	}
	if err := serveLoad(); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func serveLoad() error {
	if err := pinToCPU(os.Getenv(loadCPU)); err != nil {
		return err
	}
	dec, enc := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var r loadRequest
		if err := dec.Decode(&r); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		var got loadReply
		var err error
		if r.Op == opServe {
			err = listenAll()
		} else {
			got.Value, err = r.measure()
		}
		if err != nil {
			got.Error = err.Error()
		}
		if err := enc.Encode(got); err != nil {
			return err
		}
	}
}

// pinToCPU makes all threads of the process, also later ones, run on one processor.
func pinToCPU(number string) error {
	n, err := strconv.Atoi(number)
	if err != nil {
		return err
	}
	var set unix.CPUSet
	set.Set(n)
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, t := range threads {
		id, err := strconv.Atoi(t.Name())
		if err != nil {
			return err
		}
		if err := unix.SchedSetaffinity(id, &set); err != nil && !errors.Is(err, unix.ESRCH) {
			return err
		}
	}
	return nil
}

func listenAll() error {
	for i := range LoadPorts {
		l, err := net.Listen("tcp", fmt.Sprintf(":%d", LoadPort+i))
		if err != nil {
			return err
		}
		go acceptLoad(l)
	}
	return nil
}

func acceptLoad(l net.Listener) {
	buf := make([]byte, chunk)
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		takeLoad(c, buf)
		c.Close()
	}
}

// takeLoad serves one connection. If it breaks, the other side reports it.
func takeLoad(c net.Conn, buf []byte) {
	if _, err := c.Read(buf[:1]); err != nil {
		return
	}
	want := buf[0]
	var count uint64
	for {
		n, err := c.Read(buf)
		count += uint64(n)
		if err != nil {
			break
		}
		if want == wantEcho {
			if _, err := c.Write(buf[:n]); err != nil {
				return
			}
		}
	}
	if want == wantSink {
		_, _ = c.Write(binary.BigEndian.AppendUint64(nil, count))
	}
}

func loadSockaddr(a netip.Addr, port int) (domain int, to unix.Sockaddr) {
	if a.Is4() {
		return unix.AF_INET, &unix.SockaddrInet4{Addr: a.As4(), Port: port}
	}
	return unix.AF_INET6, &unix.SockaddrInet6{Addr: a.As16(), Port: port}
}
