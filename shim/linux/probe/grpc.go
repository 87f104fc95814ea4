package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/spec"
)

// maxMessage limits the size of an answer. A real one has a few bytes.
const maxMessage = 4 << 10

// maxDials is how often one attempt connects. If a server hangs up before grpc has asked, grpc
// connects again at once, and without end.
const maxDials = 3

var errHungUp = fmt.Errorf("it hung up %d times without an answer", maxDials)

func grpcTarget(p *spec.GRPCProbe) string {
	if p.Service == "" {
		return "grpc health of " + loopback(p.Port)
	}
	return fmt.Sprintf("grpc health of %s at %s", p.Service, loopback(p.Port))
}

// askGRPC succeeds when the health service says SERVING.
func askGRPC(ctx context.Context, p *spec.GRPCProbe, dial dialer) error {
	var mu sync.Mutex
	var refused error // the dialer's error: grpc wraps it in a long text
	calls := 0
	conn, err := grpc.NewClient("passthrough:///"+loopback(p.Port),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			mu.Lock()
			defer mu.Unlock()
			if calls++; calls > maxDials {
				refused = errHungUp
				return nil, refused
			}
			var conn net.Conn
			conn, refused = dial(ctx, "tcp", addr)
			return conn, refused
		}),
		grpc.WithDisableServiceConfig(), grpc.WithDisableRetry(), grpc.WithUserAgent("sallyport-probe"),
		grpc.WithMaxHeaderListSize(maxHeader), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)))
	if err != nil {
		return err
	}
	defer conn.Close()
	resp, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: p.Service})
	mu.Lock()
	defer mu.Unlock()
	if refused != nil {
		return refused
	}
	switch status.Code(err) {
	case codes.OK:
	case codes.Unimplemented:
		return errors.New("it has no health service (grpc.health.v1.Health)")
	case codes.NotFound:
		return errors.New("its health service does not know the name")
	default:
		return errors.New(hint.Excerpt(status.Convert(err).Message(), hint.Short))
	}
	if resp.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		return errors.New(resp.GetStatus().String())
	}
	return nil
}
