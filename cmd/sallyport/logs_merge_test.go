package main

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/api"
)

// A printed line comes some time after the start, and has its time.
type printedLine struct {
	after time.Duration
	text  string
}

// printing has the lines of groups. A group that is followed has no end.
type printing map[string][]printedLine

func (p printing) Logs(ctx context.Context, req api.LogRequest, emit func(api.LogLine) error) error {
	began := time.Now()
	for _, l := range p[req.Group] {
		time.Sleep(time.Until(began.Add(l.after)))
		if err := emit(api.LogLine{Container: "web", Text: l.text, Time: began.Add(l.after)}); err != nil {
			return err
		}
	}
	if req.Follow {
		<-ctx.Done()
	}
	return nil
}

// merged returns the lines of all groups as they are printed within a time, and when each was.
func (p printing) merged(t *testing.T, follow bool, within time.Duration) (texts []string, at []time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	var requests []api.LogRequest
	for name := range p {
		requests = append(requests, api.LogRequest{Group: name, Follow: follow, Times: true})
	}
	slices.SortFunc(requests, func(a, b api.LogRequest) int { return len(a.Group) - len(b.Group) })
	began := time.Now()
	err := copyLogs(ctx, p, requests, func(_ string, l api.LogLine) error {
		texts, at = append(texts, l.Text), append(at, time.Since(began))
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return texts, at
}

// Groups that rarely print don't hold up each other's lines one after the other.
func TestFollowManyGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := printing{}
		for i := range 20 {
			p[fmt.Sprint("g", i)] = []printedLine{{0, "one"}, {time.Minute, "two"}}
		}
		texts, at := p.merged(t, true, 2*time.Minute)
		if len(texts) != 40 {
			t.Fatalf("%d lines, want 40", len(texts))
		}
		for i, want := range map[int]time.Duration{19: 0, 39: time.Minute} {
			if late := at[i] - want; late > followPatience {
				t.Errorf("line %d comes %v after it was printed, want %v at most", i, late, followPatience)
			}
		}
	})
}

// Lines are in the order of their times.
func TestMergeOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := printing{"a": {{0, "1"}, {2 * time.Second, "3"}, {2 * time.Second, "4"}}, "bb": {{time.Second, "2"}, {3 * time.Second, "5"}}}
		for _, follow := range []bool{false, true} {
			texts, _ := p.merged(t, follow, time.Minute)
			if diff := cmp.Diff([]string{"1", "2", "3", "4", "5"}, texts); diff != "" {
				t.Errorf("follow %v (-want +got):\n%s", follow, diff)
			}
		}
	})
}
