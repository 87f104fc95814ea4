package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
)

// The daemon handles requests of newer and older clients, and requests that no Client makes.
func TestServerAnswers(t *testing.T) {
	for _, tt := range []struct {
		name    string
		request string
		body    string
		status  int
		want    string
	}{
		{"a field it doesn't know", "POST /v1/preview", `{"files":[{"name":"a","new":1}],"newer":true}`, 200, `{"previews":[{"group":"checkout","steps":["start web"],"opens":["any"]}]}`},
		{"a verb it doesn't know", "POST /v2/apply", "", 404,
			`{"error":{"message":"the daemon, version \"1.2\", does not know POST /v2/apply","hint":"use a command and a daemon of the same version"}}`},
		{"not JSON", "POST /v1/apply", "files=1", 400, `{"error":{"message":"read the request: invalid character 'i' in literal false (expecting 'a')"}}`},
		{"cut short", "POST /v1/apply", `{"files":[`, 400, `{"error":{"message":"read the request: unexpected end of JSON input"}}`},
		{"no group", "GET /v1/groups/gone", "", 404, `{"error":{"code":"no_group","message":"group \"gone\": no such group"}}`},
		{"no name", "GET /v1/groups/%2e%2e%2fx/logs", "", 404, `{"error":{"code":"no_group","message":"group \"../x\": no such group"}}`},
		{"no number", "GET /v1/groups/web/logs?tail=x", "", 400, `{"error":{"message":"tail=\"x\" is not a number of lines"}}`},
		{"no generation", "POST /v1/groups/web/rollback?to=0", "", 400, `{"error":{"message":"\"0\" is not the number of a generation"}}`},
		{"no length of time", "GET /v1/groups/web/settle?for=-1s", "", 400, `{"error":{"message":"for=\"-1s\" is not a length of time"}}`},
		{"no time", "GET /v1/groups/web/logs?since=10m", "", 400, `{"error":{"message":"since=\"10m\" is not a time of RFC 3339"}}`},
		{"no end", "GET /v1/groups/web/logs?follow=true&until=2026-11-29T12:00:00Z", "", 400, `{"error":{"message":"follow and until exclude each other"}}`},
		{"neither true nor false", "GET /v1/groups/web/logs?follow=x", "", 400, `{"error":{"message":"follow=\"x\" is neither true nor false"}}`},
		{"exec without upgrade", "POST /v1/exec", `{"group":"web","container":"app","args":["id"]}`, 426,
			`{"error":{"message":"exec needs a connection that is upgraded to sallyport-exec-1"}}`},
		{"a stream", "DELETE /v1/groups/web", "", 200, `{"done":true}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := startDaemon(t, ServerConfig{Version: VersionInfo{Version: "1.2"}})
			method, path, _ := strings.Cut(tt.request, " ")
			req, err := http.NewRequestWithContext(t.Context(), method, "http://x"+path, strings.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			resp, err := d.browser().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != tt.status {
				t.Errorf("status %d, want %d", resp.StatusCode, tt.status)
			}
			if diff := cmp.Diff(tt.want+"\n", string(body)); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBodyTooLarge(t *testing.T) {
	d := startDaemon(t, ServerConfig{})
	err := d.Apply(t.Context(), []group.Bundle{{HCL: make([]byte, 48<<20)}}, nil)
	checkProblem(t, err, "the group files and the files that they name make a request of 64 MiB; the daemon accepts 64 MiB",
		"apply fewer files at a time, or put large files into an image")

	// A client that ignores the limit.
	conn := request(t, d.socket, "POST /v1/apply HTTP/1.1\r\nHost: x\r\nContent-Length: 67108865\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("status %s, want 413", resp.Status)
	}
	if calls := d.keeper.String(); calls != "" {
		t.Errorf("the keeper was asked: %s", calls)
	}
}

// A client of an earlier version gets lines as it knows them: it ignores the other fields, and an
// event without a container.
func TestLogsForAnEarlierClient(t *testing.T) {
	at := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	d := startDaemon(t, ServerConfig{Logs: func(_ context.Context, _ LogRequest, emit func(LogLine) error) error {
		return errors.Join(
			emit(LogLine{Container: "web", Stream: "stderr", Text: "one", Time: at}), emit(LogLine{Container: "web", Missed: 9}),
			emit(LogLine{Container: "web", Text: "\xff"}),
		)
	}})
	resp, err := d.browser().Get("http://x/v1/groups/web/logs")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var got []string
	for lines := json.NewDecoder(resp.Body); ; {
		var known struct { // the events of the version before times
			Container, Line string
			Raw             []byte
		}
		if err := lines.Decode(&known); err != nil {
			break
		}
		if known.Container != "" {
			got = append(got, known.Container+" "+known.Line+string(known.Raw))
		}
	}
	if diff := cmp.Diff([]string{"web one", "web \xff"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A daemon of an earlier version ignores what it doesn't know of the query. Its lines would be
// taken for those that were asked for.
func TestLogsFromAnEarlierDaemon(t *testing.T) {
	const answer = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + `{"container":"web","line":"old"}` + "\n" + `{"done":true}`
	for _, tt := range []struct {
		req  LogRequest
		want string // "": the line
	}{
		{LogRequest{Group: "web", Tail: 3}, ""},
		{LogRequest{Group: "web", Times: true}, "which does not know when output was written"},
		{LogRequest{Group: "web", Since: time.Unix(1, 0)}, "which does not know when output was written"},
		{LogRequest{Group: "web", Until: time.Unix(1, 0)}, "which does not know when output was written"},
	} {
		var got []LogLine
		err := answering(t, answer).Logs(t.Context(), tt.req, func(l LogLine) error { got = append(got, l); return nil })
		if tt.want == "" {
			if diff := cmp.Diff([]LogLine{{Container: "web", Text: "old"}}, got); err != nil || diff != "" {
				t.Errorf("%+v: %v (-want +got):\n%s", tt.req, err, diff)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) || len(got) > 0 {
			t.Errorf("%+v: got %v and %v", tt.req, got, err)
		}
	}
}

// answering returns a client of a socket that gives one answer to any request.
func answering(t *testing.T, answer string) *Client {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
			_, _ = io.WriteString(conn, answer)
		}
	}()
	return NewClient(socket)
}

// A Client handles answers that no Server of this version sends.
func TestClientUnderstands(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
	const hungUp = `what was installed stays installed; see "sallyport ps" when the daemon is back`
	for _, tt := range []struct {
		name, answer string
		want, hint   string // "": no error
		progress     []string
	}{
		{"events and fields it doesn't know", ok + `{"weather":"fine"}` + "\n" + `{"progress":"one","colour":3}` + "\n" + `{"done":true}`, "", "", []string{"one"}},
		{"end without an end", ok + `{"progress":"one"}` + "\n", "the daemon closed the connection before it was done", hungUp, []string{"one"}},
		{"nothing", "", "the daemon closed the connection before it was done", hungUp, nil},
		{"half a line", ok + `{"progr`, "the daemon closed the connection before it was done", hungUp, nil},
		{"no JSON", ok + `<html>`, "read the daemon's answer: invalid character '<' looking for beginning of value", "", nil},
		{"an error of another program", "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 4\r\n\r\noops", `the daemon answers "502 Bad Gateway" without a reason`, "", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var progress []string
			err := answering(t, tt.answer).Remove(t.Context(), "web", func(line string) { progress = append(progress, line) })
			if tt.want != "" {
				checkProblem(t, err, tt.want, tt.hint)
			} else if err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(tt.progress, progress); diff != "" {
				t.Errorf("progress (-want +got):\n%s", diff)
			}
		})
	}
}

// An earlier daemon has no usage, and a later one has kinds and fields that this client doesn't
// know. One that has no source of it answers, too.
func TestUsageOfOtherVersions(t *testing.T) {
	for _, tt := range []struct {
		name, answer string
		want         host.Usage
		err, hint    string
	}{
		{"earlier", "HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n" +
			`{"error":{"message":"the daemon, version \"1.1\", does not know GET /v1/usage","hint":"use a command and a daemon of the same version"}}`,
			host.Usage{}, `the daemon, version "1.1", does not know GET /v1/usage`, "use a command and a daemon of the same version"},
		{"later", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" +
			`{"usage":{"disks":[{"path":"/d","size":3,"taken":1,"new":1}],"consumers":[{"kind":"new","group":"g","bytes":1,"new":[]}],"new":{}},"new":1}`,
			host.Usage{Disks: []host.DiskUsage{{Disk: host.Disk{Path: "/d", Size: 3}, Taken: 1}}, Consumers: []host.Consumer{{Kind: "new", Group: "g", Bytes: 1}}}, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			socket := listenSilently(t, func(conn net.Conn) {
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					_, _ = io.WriteString(conn, tt.answer)
				}
			})
			got, err := NewClient(socket).Usage(t.Context())
			if tt.err != "" {
				checkProblem(t, err, tt.err, tt.hint)
			} else if err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("usage (-want +got):\n%s", diff)
			}
		})
	}
	if _, err := startDaemon(t, ServerConfig{}).Usage(t.Context()); err != nil {
		t.Errorf("without a source: %v", err)
	}
}
