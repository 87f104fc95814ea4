package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// fullDisks returns those that are full.
func fullDisks(all []host.Disk) (full []host.Disk) {
	for _, d := range all {
		if d.Full {
			full = append(full, d)
		}
	}
	return full
}

// warnOfDisks warns of full disks. A daemon that can't answer is no error: the caller has shown
// what it was asked for.
func warnOfDisks(ctx context.Context, ui *ui, client *api.Client) {
	all, err := client.Disks(ctx)
	if err != nil {
		return
	}
	warnOfFull(ui, fullDisks(all))
}

func warnOfFull(ui *ui, full []host.Disk) {
	for _, d := range full {
		ui.notef("warning: %s", diskText(d))
		if h := diskHint(d); h != "" {
			ui.notef("hint: %s", h)
		}
	}
}

// diskText describes a full disk on one line.
func diskText(d host.Disk) string {
	text := fmt.Sprintf("the disk of %s is full: %s of %s free", d.Path, spec.FormatSize(int64(d.Free)), spec.FormatSize(int64(d.Size)))
	if d.FewFiles() {
		text = fmt.Sprintf("the disk of %s has no room for more files: %d of %d inodes free", d.Path, d.FreeInodes, d.Inodes)
	}
	var largest []string
	for _, c := range d.Consumers {
		took := spec.FormatSize(int64(c.Bytes))
		if d.FewFiles() {
			took = plural(int(c.Inodes), "file")
		}
		if c.Partial {
			took = "at least " + took
		}
		largest = append(largest, consumerText(c)+" "+took)
	}
	if len(largest) > 0 {
		text += ". Largest: " + strings.Join(largest, ", ")
	}
	return text
}

func consumerText(c host.Consumer) string {
	switch c.Kind {
	case host.LayerConsumer:
		return fmt.Sprintf("files written by %s.%s", c.Group, c.Container)
	case host.OutputConsumer:
		if c.Removed {
			return "output of the removed group " + c.Group
		}
		return fmt.Sprintf("output of %s.%s", c.Group, c.Container)
	case host.VolumeConsumer:
		return fmt.Sprintf("volume %s of %s", c.Volume, c.Group)
	case host.RuntimeConsumer:
		return "images and the rest of " + c.Path
	default:
		return "the daemon's own files in " + c.Path
	}
}

// diskHint returns what frees space: what to do about the largest consumer. It is empty if nothing
// of the instance is known to fill the disk.
func diskHint(d host.Disk) string {
	if len(d.Consumers) == 0 {
		return ""
	}
	switch c := d.Consumers[0]; c.Kind {
	case host.LayerConsumer:
		return fmt.Sprintf("\"sallyport stop %s\" deletes what its containers have written outside of volumes", c.Group)
	case host.OutputConsumer:
		if c.Removed {
			return "keep what you need of it, then delete it: rm -r " + c.Path
		}
		return fmt.Sprintf("keep what you need of it, then empty it: truncate -s 0 %s", c.Path)
	case host.VolumeConsumer:
		return fmt.Sprintf("\"sallyport stop %s\" keeps it from growing; its data is in %s", c.Group, c.Path)
	default:
		return "see what else is on this disk: du -x -d 2 " + d.Path
	}
}
