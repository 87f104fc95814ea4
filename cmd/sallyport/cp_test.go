package main

import (
	"bytes"
	"strings"
	"testing"
)

// A container can have any number of pipes with long names. They do not fill the memory here.
func TestCopySkipsMany(t *testing.T) {
	var out, errs bytes.Buffer
	c := &copying{ui: &ui{out: &out, err: &errs}}
	const many = 5 * maxListed
	for range many {
		c.skip("pipe", "a pipe")
	}
	if len(c.result.Skipped) != maxListed || c.result.More != many-maxListed {
		t.Errorf("%d listed, %d more", len(c.result.Skipped), c.result.More)
	}
	err := c.tell(&cpVerb{JSON: true}, false)
	if err == nil || err.Error() != "5000 files not copied" {
		t.Error(err)
	}
	if got := errs.String(); strings.Count(got, "not copied: pipe: a pipe\n") != maxSkipped || !strings.HasSuffix(got, "and 4990 more\n") {
		t.Errorf("%s", got)
	}
	if !strings.Contains(out.String(), `"more": 4000`) {
		t.Error("the JSON has not how many more there are")
	}
}
