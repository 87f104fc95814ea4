package main

import (
	"fmt"
	"strings"
)

// A target is a group or one of its containers, written as GROUP or GROUP.CONTAINER.
type target struct {
	group, container string // container is "" for the whole group
}

// UnmarshalText reads GROUP[.CONTAINER]. Neither name can contain a dot.
func (t *target) UnmarshalText(text []byte) error {
	group, container, dotted := strings.Cut(string(text), ".")
	if group == "" || (dotted && container == "") || strings.Contains(container, ".") {
		return fmt.Errorf("%q is not GROUP or GROUP.CONTAINER", text)
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
