package ctrd

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/core/leases"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/sallyport/sallyport/shim/ctrd/ctrdtest"
)

func TestRootRegistryImages(t *testing.T) {
	eachServer(t, func(t *testing.T, c *Client) {
		host := startRegistry(t)
		push(t, host, "busybox", "1", busyboxImage(t))

		img := mustImage(t, c, host+"/busybox:1")
		if img.Name != host+"/busybox:1" {
			t.Errorf("name %q", img.Name)
		}
		checkUsable(t, c, img)
		if left, err := c.leases(t); err != nil || len(left) != 0 {
			t.Errorf("leases left: %v, %v", left, err)
		}

		t.Run("a present image is not asked for again", func(t *testing.T) {
			push(t, host, "busybox", "1", busyboxImage(t, withEnv("NEW=1")))
			c.forget()
			if again := mustImage(t, c, host+"/busybox:1"); again != img {
				t.Errorf("again %+v, before %+v", again, img)
			}
		})
		t.Run("by digest", func(t *testing.T) {
			pinned := mustImage(t, c, host+"/busybox@"+img.Digest)
			if pinned.Digest != img.Digest {
				t.Errorf("%+v, want digest %s", pinned, img.Digest)
			}
		})
		t.Run("an index, by platform", func(t *testing.T) {
			other := busyboxImage(t, func(i *ocispec.Image) { i.Platform = ocispec.Platform{OS: "linux", Architecture: "s390x"} })
			pushIndex(t, host, "multi", "1", other, busyboxImage(t))
			checkUsable(t, c, mustImage(t, c, host+"/multi:1"))
		})
		t.Run("not unpacked", func(t *testing.T) {
			push(t, host, "packed", "1", ctrdtest.Build(t, busyboxImage(t).Config, ctrdtest.Tar(t, []ctrdtest.File{{Name: "packed", Mode: 0o644}})))
			ctx, cancel := c.ctx(t.Context(), callTimeout)
			defer cancel()
			if _, err := c.client.Fetch(ctx, host+"/packed:1"); err != nil {
				t.Fatal(err)
			}
			src, err := parseSource(host + "/packed:1")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.present(ctx, src.name); err != nil {
				t.Fatal(err)
			}
		})
		t.Run("problems", func(t *testing.T) {
			checkProblem(t, c, host+"/busybox:2", "doesn't have it")
			checkProblem(t, c, host+"/nothing:1", "doesn't have it")
			other := busyboxImage(t, func(i *ocispec.Image) { i.Platform = ocispec.Platform{OS: "linux", Architecture: "s390x"} })
			pushIndex(t, host, "foreign", "1", other)
			checkProblem(t, c, host+"/foreign:1", "doesn't have it, or not for this platform")
			push(t, host, "single", "1", other)
			checkProblem(t, c, host+"/single:1", "has no image for linux/"+runtime.GOARCH+", only for: linux/s390x")
			push(t, host, "unsaid", "1", busyboxImage(t, func(i *ocispec.Image) { i.Platform = ocispec.Platform{OS: "linux"} }))
			mustImage(t, c, host+"/unsaid:1")
		})
	})
}

func TestRootRegistryProblems(t *testing.T) {
	eachServer(t, func(t *testing.T, c *Client) {
		tls := httptest.NewUnstartedServer(http.NotFoundHandler())
		tls.Config.ErrorLog = log.New(io.Discard, "", 0)
		tls.StartTLS()
		defer tls.Close()
		checkProblem(t, c, tls.Listener.Addr().String()+"/busybox:1", "an authority that this host doesn't know")

		login := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
		defer login.Close()
		checkProblem(t, c, login.Listener.Addr().String()+"/busybox:1", "refuses access to it")

		closed := httptest.NewServer(nil)
		closed.Close()
		checkProblem(t, c, closed.Listener.Addr().String()+"/busybox:1", "can't be reached")

		if left, err := c.leases(t); err != nil || len(left) != 0 {
			t.Errorf("leases left: %v, %v", left, err)
		}
	})
}

// After a link has failed in the middle of a layer, the next pull goes on from there.
func TestRootPullGoesOn(t *testing.T) {
	eachServer(t, func(t *testing.T, c *Client) {
		backend := startRegistry(t)
		noise := make([]byte, 4<<20)
		for i := range noise {
			noise[i] = byte(i * i >> 8 * i)
		}
		img := ctrdtest.Build(t, busyboxImage(t).Config, ctrdtest.Tar(t, []ctrdtest.File{{Name: "noise", Mode: 0o644, Body: noise}}))
		push(t, backend, "big", "1", img)
		size := int64(len(img.LayerBlobs(t)[0]))
		var broken atomic.Bool
		var served atomic.Int64
		broken.Store(true)
		c.tryWait = time.Millisecond
		link := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			relay(w, r, backend, broken.Load(), size/2, &served)
		}))
		defer link.Close()
		ref := link.Listener.Addr().String() + "/big:1"
		if _, err := c.Image(t.Context(), ref); err == nil {
			t.Fatal("pulled over a broken link")
		}
		broken.Store(false)
		served.Store(0)
		checkUsable(t, c, mustImage(t, c, ref))
		if n := served.Load(); n >= size {
			t.Errorf("the second pull fetched %d bytes of a layer of %d", n, size)
		}
	})
}

// relay passes a request on to a registry. It counts the bytes of a layer. If broken is set, it
// breaks off after limit of them.
func relay(w http.ResponseWriter, r *http.Request, backend string, broken bool, limit int64, served *atomic.Int64) {
	req, err := http.NewRequestWithContext(r.Context(), r.Method, "http://"+backend+r.URL.Path, nil)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	req.Header = r.Header.Clone()
	resp, err := registryClient.Transport.RoundTrip(req)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer resp.Body.Close()
	big := r.Method == http.MethodGet && resp.ContentLength > limit/2
	if big && broken && r.Header.Get("Range") != "" && r.Header.Get("Range") != "bytes=0-" {
		panic(http.ErrAbortHandler)
	}
	for k, v := range resp.Header {
		w.Header()[k] = v
	}
	w.WriteHeader(resp.StatusCode)
	body := io.Reader(resp.Body)
	if big && broken {
		body = io.LimitReader(body, limit)
	}
	n, _ := io.Copy(w, body)
	if big {
		served.Add(n)
		if broken {
			if f, ok := w.(http.Flusher); ok {
				f.Flush()
			}
			panic(http.ErrAbortHandler)
		}
	}
}

func (c *Client) leases(t *testing.T) ([]leases.Lease, error) {
	ctx, cancel := c.ctx(t.Context(), callTimeout)
	defer cancel()
	return c.client.LeasesService().List(ctx)
}

// startRegistry runs the distribution's registry on loopback and gives its host and port.
func startRegistry(t *testing.T) string {
	t.Helper()
	return runRegistry(t, t.TempDir(), "", "")
}

// runRegistry runs the registry with what is stored in a folder. listen is added to its settings of
// http, and settings to all of them.
func runRegistry(t *testing.T, dir, listen, settings string) string {
	t.Helper()
	binary, err := exec.LookPath("docker-registry")
	if err != nil {
		ctrdtest.Missing(t, "docker-registry is not installed")
	}
	for range 10 { // another program may take the port before the registry has it
		if host, served := tryRegistry(t, binary, dir, listen, settings); served {
			return host
		}
	}
	t.Fatal("the registry doesn't start")
	return ""
}

// tryRegistry runs the registry on a port that is free. It reports whether the registry got it.
func tryRegistry(t *testing.T, binary, dir, listen, settings string) (host string, served bool) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host = l.Addr().String()
	l.Close()
	config := filepath.Join(t.TempDir(), "config.yml")
	writeFile(t, config, fmt.Appendf(nil, "version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: %s%s}\n%s", dir, host, listen, settings))
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, binary, "serve", config)
	cmd.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		cancel()
		<-ended
		if t.Failed() {
			t.Logf("registry:\n%s", out.String())
		}
	})
	deadline := time.After(time.Minute)
	for {
		select {
		case <-ended:
			return "", false
		case <-deadline:
			t.Fatal("the registry doesn't start")
		case <-time.After(10 * time.Millisecond):
		}
		if conn, err := net.Dial("tcp", host); err == nil {
			conn.Close()
			return host, true
		}
	}
}

// push puts an image into a registry.
func push(t *testing.T, host, name, tag string, img ctrdtest.Image) {
	t.Helper()
	for dgst, b := range img.Blobs {
		if dgst != img.Manifest.Digest {
			pushBlob(t, host, name, dgst, b)
		}
	}
	put(t, fmt.Sprintf("http://%s/v2/%s/manifests/%s", host, name, tag), ocispec.MediaTypeImageManifest, img.Blobs[img.Manifest.Digest])
}

func pushBlob(t *testing.T, host, name string, dgst digest.Digest, b []byte) {
	t.Helper()
	resp, err := registryClient.Post(fmt.Sprintf("http://%s/v2/%s/blobs/uploads/", host, name), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	to := resp.Header.Get("Location")
	sep := "?"
	if strings.Contains(to, "?") {
		sep = "&"
	}
	put(t, to+sep+"digest="+dgst.String(), "application/octet-stream", b)
}

// pushIndex puts images and an index of them into a registry.
func pushIndex(t *testing.T, host, name, tag string, imgs ...ctrdtest.Image) {
	t.Helper()
	for _, img := range imgs {
		push(t, host, name, img.Manifest.Digest.String(), img)
	}
	put(t, fmt.Sprintf("http://%s/v2/%s/manifests/%s", host, name, tag), ocispec.MediaTypeImageIndex, ctrdtest.JSON(t, ctrdtest.Index(imgs...)))
}

// registryClient keeps no connections, which would be goroutines left behind.
var registryClient = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

func put(t *testing.T, url, mediaType string, b []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url, bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", mediaType)
	resp, err := registryClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		body, _ := io.ReadAll(resp.Body)
		t.Fatalf("PUT %s: %s: %s", url, resp.Status, body)
	}
}
