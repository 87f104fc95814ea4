package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/shim/api"
)

type logsVerb struct {
	Target target `arg:"" name:"group[.container]" help:"A group, or one of its containers. Each line of a group begins with its container."`
	Follow bool   `short:"f" help:"Continue with new output."`
	Raw    bool   `help:"Print control characters to a terminal as they are. Into a file or a pipe, they always are."`
	Tail   *int   `short:"n" placeholder:"N" help:"Begin with the last N lines of each container (default all)."`
}

func (v *logsVerb) Run(ctx context.Context, ui *ui, in *instance) error {
	client, err := in.client(ctx)
	if err != nil {
		return err
	}
	req := api.LogRequest{Group: v.Target.group, Follow: v.Follow}
	if v.Tail != nil {
		if req.Tail = *v.Tail; req.Tail <= 0 {
			req.Tail = -1 // in the protocol, 0 means everything
		}
	}
	width := 0
	if v.Target.container != "" {
		req.Containers = []string{v.Target.container}
	} else {
		groups, err := client.Status(ctx, v.Target.group)
		if err != nil {
			return err
		}
		for _, g := range groups {
			for _, c := range g.Containers {
				width = max(width, len(c.Name))
			}
		}
	}
	to := content(ui.stdout, ui.out)
	if v.Raw {
		to = ui.stdout
	}
	out := bufio.NewWriter(to)
	err = client.Logs(ctx, req, func(container, line string) error {
		writeLine(out, width, container, line)
		if v.Follow {
			return out.Flush() // the next line may come much later
		}
		return nil
	})
	return errors.Join(err, out.Flush())
}

// writeLine prints a line, after its container's name if width is not 0. The writer keeps the
// error.
func writeLine(w *bufio.Writer, width int, container, line string) {
	if width > 0 {
		fmt.Fprintf(w, "%-*s | ", width, container)
	}
	w.WriteString(line)
	w.WriteByte('\n')
}
