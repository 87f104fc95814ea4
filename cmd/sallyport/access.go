package main

import (
	"errors"
	"fmt"
	"os/user"
	"strconv"

	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/hint"
)

// accessFlags admit users besides root to the control socket.
type accessFlags struct {
	Operators string `placeholder:"GROUP" env:"SALLYPORT_OPERATORS" help:"Unix group whose users may do on the control socket all that root may (default none)."`
	Readers   string `placeholder:"GROUP" env:"SALLYPORT_READERS" help:"Unix group whose users may see groups, events and denials there (default none)."`
}

// access returns whom the settings admit. A group that this host doesn't have is an error.
func (s settings) access() (a api.Access, err error) {
	for _, x := range []struct {
		name, group string
		gid         **uint32
	}{{"access.operators", s.flags.Operators, &a.Operators}, {"access.readers", s.flags.Readers, &a.Readers}} {
		if *x.gid, err = groupID(x.group); err != nil {
			return api.Access{}, &hint.Error{Err: fmt.Errorf("%s: %s: %w", s.source(x.name), x.name, err), Hint: hintOf(err)}
		}
	}
	return a, nil
}

// groupID returns the id of a unix group, or nil without a name. A number is an id, whether or not
// a group has it.
func groupID(name string) (*uint32, error) {
	if name == "" {
		return nil, nil
	}
	id := name
	if _, err := strconv.ParseUint(name, 10, 32); err != nil {
		g, err := user.LookupGroup(name)
		if unknown := user.UnknownGroupError(""); errors.As(err, &unknown) {
			return nil, unmet("groupadd --system "+name, "this host has no group %q", name)
		}
		if err != nil {
			return nil, err
		}
		id = g.Gid
	}
	n, err := strconv.ParseUint(id, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("group %q has the id %q: %w", name, id, err)
	}
	gid := uint32(n)
	return &gid, nil
}
