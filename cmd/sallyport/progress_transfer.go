package main

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/sallyport/sallyport/shim/host"
)

// In a pipe, the pause before the first line about a transfer, and the longest one. It doubles each
// time.
const (
	firstPause   = 5 * time.Second
	longestPause = time.Minute
)

// rateWindow is the time over which a rate is measured.
const rateWindow = 3 * time.Second

// A sample is how far a transfer was.
type sample struct {
	at   time.Time
	done int64
}

// moved takes how far the transfer is. A stage of its own has a time of its own.
func (q *part) moved(t host.Transfer, now time.Time) {
	if t.Stage != q.now.Stage {
		q.since, q.samples = now, nil
	}
	q.now = t
	q.samples = append(q.samples, sample{now, t.Done})
}

// rate returns the bytes a second of late. It is 0 if that is not known, or nothing has moved.
func (q *part) rate(now time.Time) float64 {
	for len(q.samples) > 2 && now.Sub(q.samples[1].at) >= rateWindow {
		q.samples = q.samples[1:]
	}
	first, last := q.samples[0], q.samples[len(q.samples)-1]
	took := now.Sub(first.at).Seconds()
	if took < 0.5 || last.done <= first.done {
		return 0
	}
	return float64(last.done-first.done) / took
}

// what returns what is done to the image: "pull busybox:1.37".
func (q *part) what() string { return string(q.now.Stage) + " " + imageText(q.now.Image) }

// far returns how far the transfer is: "12.3/40.1 MiB 3.1 MiB/s", or the time for a stage that
// shows no bytes.
func (q *part) far(now time.Time) string {
	if q.now.Stage == host.Unpacking || q.now.Total == 0 {
		return elapsed(now.Sub(q.since))
	}
	unit, name := unitOf(q.now.Total)
	text := fmt.Sprintf("%s/%s %s", inUnit(q.now.Done, unit), inUnit(q.now.Total, unit), name)
	if rate := q.rate(now); rate > 0 {
		text += " " + sizeText(int64(rate)) + "/s"
	}
	return text
}

// plain returns the line of the transfer in a pipe.
func (q *part) plain(now time.Time) string {
	if far := q.far(now); far != "" {
		return q.what() + ": " + far
	}
	return q.what()
}

// transferred returns the line of a transfer that has ended. It is empty if the image was present.
func transferred(t host.Transfer) string {
	past, ok := map[host.TransferStage]string{host.Pulling: "pulled", host.Importing: "imported", host.Unpacking: "unpacked"}[t.Stage]
	if !ok {
		return ""
	}
	took := (time.Duration(t.Milliseconds) * time.Millisecond).Round(100 * time.Millisecond)
	if t.Total == 0 {
		return fmt.Sprintf("%s %s in %s", past, imageText(t.Image), took)
	}
	return fmt.Sprintf("%s %s: %s in %s", past, imageText(t.Image), sizeText(t.Total), took)
}

// imageText returns an image as people know it: an archive by its path.
func imageText(image string) string {
	for _, prefix := range []string{"oci-archive:", "docker-archive:", "oci:"} {
		image = strings.TrimPrefix(image, prefix)
	}
	return image
}

// unitOf returns the largest unit that a size has one of, and its name.
func unitOf(bytes int64) (unit int64, name string) {
	for shift, name := range map[int]string{40: "TiB", 30: "GiB", 20: "MiB", 10: "KiB"} {
		if bytes>>shift >= 1 && bytes>>shift < 1024 {
			return 1 << shift, name
		}
	}
	return 1, "B"
}

// inUnit returns a size in that unit, with a decimal below 100.
func inUnit(bytes, unit int64) string {
	n := float64(bytes) / float64(unit)
	if unit == 1 || n >= 99.95 || n == math.Trunc(n) {
		return fmt.Sprintf("%.0f", n)
	}
	return fmt.Sprintf("%.1f", n)
}

// sizeText returns a size for people: "40.1 MiB".
func sizeText(bytes int64) string {
	unit, name := unitOf(bytes)
	return inUnit(bytes, unit) + " " + name
}
