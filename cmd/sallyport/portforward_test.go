package main

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/group"
)

func TestParsePort(t *testing.T) {
	for text, want := range map[string]api.ForwardPort{
		"80": {Local: 80, Port: 80}, "8080:80": {Local: 8080, Port: 80}, "0:80": {Local: 0, Port: 80}, "65535": {Local: 65535, Port: 65535},
		"": {}, "0": {}, "80:": {}, ":80": {}, "80:0": {}, "65536": {}, "-1": {}, "web": {}, "127.0.0.1:80:80": {}, "1:2:3": {},
	} {
		if got, err := parsePort(text); got != want || (err == nil) != (want.Port != 0) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

// A door knows an ambassador at port 80.
type door struct{}

func (door) DialAmbassador(_ context.Context, _ string, port uint16) (net.Conn, error) {
	if port != 80 {
		return nil, errors.New("a member's")
	}
	near, far := net.Pipe()
	far.Close()
	return near, nil
}

// A forwarding has an event for its begin and one for its end. One that is refused has none.
func TestForwardsAreRecorded(t *testing.T) {
	var got []string
	f := forwarder{door{}, func(e group.Event) { got = append(got, e.Group+" "+string(e.Kind)+": "+e.Text) }}
	req := api.ForwardRequest{Group: "shop", Ports: []api.ForwardPort{{Local: 8080, Port: 80}, {Local: 1, Port: 22}}, Caller: api.Caller{UID: 7, Known: true}}
	if _, err := f.Begin(t.Context(), req); err == nil || err.Error() != "a member's" || len(got) > 0 {
		t.Errorf("%v, events %q", err, got)
	}
	req.Ports = req.Ports[:1]
	end, err := f.Begin(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	end()
	want := []string{
		"shop forward: uid 7 forwards 127.0.0.1:8080 to port 80 of the ambassador", "shop forward: uid 7 no longer forwards 127.0.0.1:8080 to port 80 of the ambassador",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
