// Command attack tries to get a packet out of a group, one technique at a time. It runs in the
// containers of the integration tests, as a member and, for the control, as the ambassador.
//
//	attack try TECHNIQUE HOST PORT  one attempt; prints a Result as JSON
//	attack serve ADDR               do what callers ask for, in a line: HOW TECHNIQUE HOST PORT.
//	                                HOW is self, child, orphan, or child386, a child that uses the
//	                                32-bit system calls
//	attack serve ADDR PORT          the same, and an echo as with listen PORT
//	attack loop HOST,... PORT PAUSE connect and send, from the first instruction on, until killed
//	attack flood THREADS            the same as fast as it goes, to a new destination each time
//	attack visit HOST PORT PAUSE    ask for an echo again and again, and print the answers' number
//	attack steady HOST PORT         keep a TCP and a UDP flow from a port that others may share
//	attack offer FIRST              wait at abstract unix sockets for callers, exchange sockets
//	                                with them and send by theirs
//	attack listen PORT [NAME]       TCP and UDP echo on every address of both families. With a
//	                                name it shares its port.
//
// Pitfall: an attempt that was refused exits 0 all the same. Whether something came out is for
// the capture to say.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A Result is one attempt as the attacker saw it.
type Result struct {
	Technique string  `json:"technique"`
	Error     string  `json:"error,omitempty"` // empty: the kernel took it
	Micros    float64 `json:"micros"`
	Reply     string  `json:"reply,omitempty"` // of the other side
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "attack:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	verb := ""
	if len(args) > 0 {
		verb, args = args[0], args[1:]
	}
	switch {
	case verb == "try" && len(args) == 3:
		return json.NewEncoder(os.Stdout).Encode(try(args[0], args[1], port(args[2])))
	case verb == "orphan" && len(args) == 4:
		return orphan(args)
	case verb == "serve" && len(args) == 1:
		return serve(args[0])
	case verb == "serve" && len(args) == 2:
		go func() {
			fmt.Fprintln(os.Stderr, "attack:", listen(net.ListenConfig{}, port(args[1]), "", nil))
		}()
		return serve(args[0])
	case verb == "loop" && len(args) == 3:
		loop(args[0], port(args[1]), pause(args[2]))
	case verb == "flood" && len(args) == 1:
		flood(port(args[0]))
	case verb == "visit" && len(args) == 3:
		visit(args[0], port(args[1]), pause(args[2]))
	case verb == "steady" && len(args) == 2:
		return steady(args[0], port(args[1]))
	case verb == "offer" && len(args) == 1:
		return offer(port(args[0]))
	case verb == "listen" && len(args) == 1:
		return listen(net.ListenConfig{}, port(args[0]), "", nil)
	case verb == "listen" && len(args) == 2:
		return listen(share, port(args[0]), args[1], nil)
	}
	return errors.New("want a verb with its arguments; the package's comment has them")
}

func pause(s string) time.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		fmt.Fprintln(os.Stderr, "attack: bad pause", s)
		os.Exit(2)
	}
	return d
}

func port(s string) int {
	p, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		fmt.Fprintln(os.Stderr, "attack: bad number", s)
		os.Exit(2)
	}
	return int(p)
}

// try performs one technique and times it.
func try(technique, host string, port int) Result {
	do := techniques[technique]
	if do == nil {
		return Result{Technique: technique, Error: "no such technique"}
	}
	to := target{ip: net.ParseIP(host), port: port}
	if to.ip == nil && host != "-" {
		return Result{Technique: technique, Error: "bad address " + host}
	}
	start := time.Now()
	reply, err := do(to)
	r := Result{Technique: technique, Reply: reply, Micros: float64(time.Since(start).Nanoseconds()) / 1000}
	if err != nil {
		r.Error = err.Error()
	}
	return r
}

// serve answers one line, "HOW TECHNIQUE HOST PORT", per connection.
func serve(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Println("serving on", addr)
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			line, _ := bufio.NewReader(c).ReadString('\n')
			if f := strings.Fields(line); len(f) == 4 {
				c.Write(answer(f[0], f[1], f[2], f[3]))
			}
		}()
	}
}

func answer(how, technique, host, p string) []byte {
	if how == "self" {
		out, _ := json.Marshal(try(technique, host, port(p)))
		return append(out, '\n')
	}
	program, verb := "/proc/self/exe", []string{"try", technique, host, p}
	switch how {
	case "orphan":
		verb = []string{"orphan", "fork", technique, host, p}
	case "child386":
		program = "/attack386"
	}
	out, err := exec.Command(program, verb...).Output()
	if err != nil {
		out, _ = json.Marshal(Result{Technique: technique, Error: "run child: " + err.Error()})
	}
	return out
}

// orphan forks twice: the first child leaves, the second, in a session of its own, does the deed.
func orphan(args []string) error {
	if args[0] == "fork" {
		c := exec.Command("/proc/self/exe", append([]string{"orphan", "run"}, args[1:]...)...)
		c.Stdout = os.Stdout
		c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		return c.Start()
	}
	return json.NewEncoder(os.Stdout).Encode(try(args[1], args[2], port(args[3])))
}
