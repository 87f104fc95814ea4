package main

import (
	"fmt"
	"io"
	"net"
)

// listen echoes whatever arrives, so that "was reached" is an answer and not a guess. It ends when either socket fails.
func listen(port int) error {
	addr := fmt.Sprintf(":%d", port)
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	u, err := net.ListenPacket("udp", addr)
	if err != nil {
		return err
	}
	fmt.Println("listening on", addr)
	ended := make(chan error, 2)
	go func() { ended <- echoPackets(u) }()
	go func() { ended <- echoStreams(l) }()
	return <-ended
}

func echoPackets(u net.PacketConn) error {
	buf := make([]byte, 2048)
	for {
		n, from, err := u.ReadFrom(buf)
		if err != nil {
			return err
		}
		u.WriteTo(buf[:n], from)
	}
}

func echoStreams(l net.Listener) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			io.Copy(c, c)
		}()
	}
}
