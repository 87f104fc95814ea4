package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

type shipper struct {
	url     string
	client  http.Client
	tail    *tail
	out     io.Writer
	pending []byte // read and not yet confirmed
	failing bool
}

// run ships at each tick until ctx ends. It prints a line when shipping starts to fail, and one
// when it works again.
func (s *shipper) run(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		err := s.ship(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !s.failing:
			fmt.Fprintln(s.out, "holding lines back:", err)
		case err == nil && s.failing:
			fmt.Fprintln(s.out, "shipping again")
		}
		s.failing = err != nil
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// ship sends the lines of the log that were not confirmed yet. Lines that can't be sent stay, and
// the next call sends them first.
func (s *shipper) ship(ctx context.Context) error {
	if len(s.pending) == 0 {
		lines, err := s.tail.next()
		if err != nil {
			return err
		}
		s.pending = lines
	}
	if len(s.pending) == 0 {
		return nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(s.pending))
	if err != nil {
		return err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<16)); err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return errors.New(resp.Status)
	}
	s.pending = nil
	return nil
}
