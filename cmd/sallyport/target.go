package main

import (
	"fmt"
	"strings"
)

// A target is a group or one of its containers, as an operator writes it: GROUP or GROUP.CONTAINER.
type target struct {
	group, container string // container is "" where none was named
}

// UnmarshalText reads GROUP[.CONTAINER]; neither name can hold a dot.
func (t *target) UnmarshalText(text []byte) error {
	group, container, dotted := strings.Cut(string(text), ".")
	if group == "" || (dotted && container == "") || strings.Contains(container, ".") {
		return fmt.Errorf("%q is no GROUP or GROUP.CONTAINER", text)
	}
	t.group, t.container = group, container
	return nil
}

func (t target) String() string {
	if t.container == "" {
		return t.group
	}
	return t.group + "." + t.container
}
