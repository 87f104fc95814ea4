// Command patient answers probes by the files in its container, so that a test can make it healthy
// and unhealthy.
//
//	patient tcp PORT     accepts connections once there is /ready
//	patient http PORT    /ready answers 200 if there is /ready, else 503;
//	                     /live answers 500 if there is /dead, else 200
//	patient grpc PORT    the health service answers SERVING if there is /ready
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "patient:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return errors.New("want a protocol and a port")
	}
	for args[0] == "tcp" && !exists("/ready") {
		time.Sleep(10 * time.Millisecond)
	}
	l, err := net.Listen("tcp", "127.0.0.1:"+args[1])
	if err != nil {
		return err
	}
	switch args[0] {
	case "tcp":
		return accept(l)
	case "http":
		return http.Serve(l, http.HandlerFunc(answer))
	case "grpc":
		s := grpc.NewServer()
		grpc_health_v1.RegisterHealthServer(s, health{})
		return s.Serve(l)
	default:
		return fmt.Errorf("%q: want tcp, http or grpc", args[0])
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func accept(l net.Listener) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		c.Close()
	}
}

func answer(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/ready" && !exists("/ready"):
		http.Error(w, "a headache", http.StatusServiceUnavailable)
	case r.URL.Path == "/live" && exists("/dead"):
		http.Error(w, "a heart attack", http.StatusInternalServerError)
	}
}

type health struct {
	grpc_health_v1.UnimplementedHealthServer
}

func (health) Check(context.Context, *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	said := grpc_health_v1.HealthCheckResponse_NOT_SERVING
	if exists("/ready") {
		said = grpc_health_v1.HealthCheckResponse_SERVING
	}
	return &grpc_health_v1.HealthCheckResponse{Status: said}, nil
}
