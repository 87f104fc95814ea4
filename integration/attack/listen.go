package main

import (
	"context"
	"fmt"
	"io"
	"net"
)

// listen echoes everything that arrives, behind its name, so that an answer proves that it was
// reached. It ends when either socket fails. ready is called with the UDP socket. It may be nil.
func listen(config net.ListenConfig, port int, name string, ready func(net.PacketConn)) error {
	addr := fmt.Sprintf(":%d", port)
	l, err := config.Listen(context.Background(), "tcp", addr)
	if err != nil {
		return err
	}
	u, err := config.ListenPacket(context.Background(), "udp", addr)
	if err != nil {
		return err
	}
	if ready != nil {
		ready(u)
	}
	fmt.Println("listening on", addr)
	ended := make(chan error, 2)
	go func() { ended <- echoPackets(u, name) }()
	go func() { ended <- echoStreams(l, name) }()
	return <-ended
}

func echoPackets(u net.PacketConn, name string) error {
	buf := make([]byte, 2048)
	for {
		n, from, err := u.ReadFrom(buf)
		if err != nil {
			return err
		}
		u.WriteTo(append([]byte(name), buf[:n]...), from)
	}
}

func echoStreams(l net.Listener, name string) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			io.WriteString(c, name)
			io.Copy(c, c)
		}()
	}
}
