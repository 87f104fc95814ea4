package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/shim/diff"
	"github.com/sallyport/sallyport/shim/group"
)

func (s *Server) history(r *http.Request) (any, error) {
	groupName := r.PathValue("group")
	if err := checkNames(groupName); err != nil {
		return nil, err
	}
	all, err := s.Keeper.History(r.Context(), groupName)
	if rightsOf(r) < fullRights {
		all = generationsForReaders(all)
	}
	return generationsBody{append([]group.Generation{}, all...)}, about(err, groupName, "")
}

// generationsForReaders returns the generations without the values of their group files, and
// without the digests of those, as forReaders.
func generationsForReaders(all []group.Generation) []group.Generation {
	plain := slices.Clone(all)
	for i := range plain {
		plain[i].Digest, plain[i].Text, plain[i].Change = "", "", ""
		plain[i].Differs = diff.WithoutValues(plain[i].Differs)
		plain[i].Values = slices.Clone(plain[i].Values)
		for j, v := range plain[i].Values {
			plain[i].Values[j] = group.Value{Variable: v.WithoutValue(), From: v.From}
		}
	}
	return plain
}

// compare takes the numbers of two generations. Without one, the keeper chooses it.
func (s *Server) compare(r *http.Request) (any, error) {
	group := r.PathValue("group")
	if err := checkNames(group); err != nil {
		return nil, err
	}
	var numbers [2]int
	for i, name := range []string{"before", "now"} {
		if v := r.FormValue(name); v != "" {
			var err error
			if numbers[i], err = parseGeneration(v); err != nil {
				return nil, err
			}
		}
	}
	c, err := s.Keeper.Compare(r.Context(), group, numbers[0], numbers[1])
	return comparisonBody{c}, about(err, group, "")
}

func (s *Server) definition(r *http.Request) (any, error) {
	group := r.PathValue("group")
	if err := checkNames(group); err != nil {
		return nil, err
	}
	number, err := parseGeneration(r.PathValue("generation"))
	if err != nil {
		return nil, err
	}
	d, err := s.Keeper.Definition(r.Context(), group, number)
	return bundleBody{d.Bundle}, about(err, group, "")
}

func (s *Server) rollback(ctx context.Context, r *http.Request, out *stream) error {
	group, to := r.PathValue("group"), 0
	if err := checkNames(group); err != nil {
		return err
	}
	if v := r.FormValue("to"); v != "" {
		var err error
		if to, err = parseGeneration(v); err != nil {
			return err
		}
	}
	return about(s.Keeper.Rollback(ctx, group, to, out.progress), group, "")
}

func (s *Server) wait(ctx context.Context, r *http.Request, out *stream) error {
	group := r.PathValue("group")
	if err := checkNames(group); err != nil {
		return err
	}
	status, err := s.Keeper.Wait(ctx, group)
	if err != nil {
		return about(err, group, "")
	}
	return out.send(ctx, event{ExitStatus: &status})
}

func (s *Server) settle(ctx context.Context, r *http.Request, out *stream) error {
	group, v := r.PathValue("group"), r.FormValue("for")
	if err := checkNames(group); err != nil {
		return err
	}
	d, err := time.ParseDuration(v)
	if err != nil || d <= 0 {
		return &badRequest{fmt.Errorf("for=%q is not a length of time", v), http.StatusBadRequest}
	}
	return about(s.Keeper.Settle(ctx, group, d, out.progress), group, "")
}

func parseGeneration(v string) (int, error) {
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 {
		return 0, &badRequest{fmt.Errorf("%q is not the number of a generation", v), http.StatusBadRequest}
	}
	return n, nil
}

// History returns the generations of a group, newest first.
func (c *Client) History(ctx context.Context, group string) ([]group.Generation, error) {
	if err := checkNames(group); err != nil {
		return nil, err
	}
	var body generationsBody
	err := c.ask(ctx, http.MethodGet, groupPath(group)+"/history", nil, &body)
	return body.Generations, err
}

// File returns the file of a generation, with all files that were read for it. errors.Is finds
// [group.ErrNoGeneration] in its error.
func (c *Client) File(ctx context.Context, groupName string, generation int) (group.Bundle, error) {
	if err := checkNames(groupName); err != nil {
		return group.Bundle{}, err
	}
	var body bundleBody
	err := c.ask(ctx, http.MethodGet, groupPath(groupName)+"/history/"+strconv.Itoa(generation), nil, &body)
	return body.File, err
}

// Compare returns what differs between two generations of a group. now 0 is the newest one, and
// before 0 the one before now. errors.Is finds [group.ErrNoGeneration] in its error.
func (c *Client) Compare(ctx context.Context, groupName string, before, now int) (group.Comparison, error) {
	if err := checkNames(groupName); err != nil {
		return group.Comparison{}, err
	}
	query := url.Values{}
	if before != 0 {
		query.Set("before", strconv.Itoa(before))
	}
	if now != 0 {
		query.Set("now", strconv.Itoa(now))
	}
	var body comparisonBody
	err := c.ask(ctx, http.MethodGet, groupPath(groupName)+"/diff?"+query.Encode(), nil, &body)
	return body.Comparison, err
}

// Rollback installs the file of an earlier generation and waits as Apply does. to is the
// generation's number. If it is 0, Rollback chooses the last proved generation that differs from
// the current one.
func (c *Client) Rollback(ctx context.Context, group string, to int, progress func(line string)) error {
	verb := "rollback"
	if to != 0 {
		verb += "?to=" + strconv.Itoa(to)
	}
	return c.steer(ctx, group, verb, progress)
}

// Wait waits until the group has completed. It returns the exit status of its apps: the first that
// is not 0, else 0. errors.Is finds [group.ErrTimedOut] in its error if the job was ended by its
// timeout.
func (c *Client) Wait(ctx context.Context, group string) (status uint32, err error) {
	if err := checkNames(group); err != nil {
		return 0, err
	}
	received := false
	err = c.stream(ctx, http.MethodGet, groupPath(group)+"/wait", nil, func(ev event) error {
		if ev.ExitStatus != nil {
			status, received = *ev.ExitStatus, true
		}
		return nil
	})
	if err == nil && !received {
		err = errors.New("the daemon did not send the exit status of the group")
	}
	return status, err
}

// Settle waits until the group has been running for d without a break. It returns an error if a
// container ends before that, or if the group's generation does not prove itself. A daemon of an
// earlier version returns an error at once.
func (c *Client) Settle(ctx context.Context, group string, d time.Duration, progress func(line string)) error {
	if err := checkNames(group); err != nil {
		return err
	}
	return c.stream(ctx, http.MethodGet, groupPath(group)+"/settle?for="+d.String(), nil, forward(progress))
}
