package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/term"

	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/hostfile"
	"github.com/sallyport/sallyport/spec"
)

// load takes the images of one archive after the other. It ends at the first that can't be loaded.
func (v *imagesVerb) load(ctx context.Context, ui *ui, client *api.Client) error {
	all := host.LoadedImages{Images: []host.LoadedImage{}}
	var err error
	for _, what := range v.What {
		var loaded host.LoadedImages
		if loaded, err = v.loadOne(ctx, ui, client, what); err != nil {
			break
		}
		all.Images, all.Skipped = append(all.Images, loaded.Images...), append(all.Skipped, loaded.Skipped...)
		if !v.JSON {
			sayLoaded(ui, loaded)
		}
	}
	if v.JSON {
		if failed := ui.json(all); err == nil {
			err = failed
		}
	}
	return err
}

func (v *imagesVerb) loadOne(ctx context.Context, ui *ui, client *api.Client, what string) (host.LoadedImages, error) {
	req := host.LoadRequest{Name: v.Name}
	from, err := archiveStream(ctx, ui, what)
	if err != nil {
		return host.LoadedImages{}, err
	}
	if from != nil {
		defer from.Close()
		req.Content = untilDone(ctx, from)
	} else if req.Path, err = filepath.Abs(what); err != nil {
		return host.LoadedImages{}, err
	}
	progress := ui.wait("for the daemon, which reads " + what)
	loaded, err := client.LoadImages(progress.watch(ctx), req)
	if progress.end(); err != nil {
		return loaded, interrupted(ctx, err, "nothing of it is loaded")
	}
	return loaded, nil
}

// archiveStream returns what is sent to the daemon: standard input, or what only this process can
// open, such as <(COMMAND) of a shell. It returns nil if the daemon is to read the path.
func archiveStream(ctx context.Context, ui *ui, what string) (io.ReadCloser, error) {
	if what == stdinArg {
		if term.IsTerminal(int(ui.in.Fd())) {
			return nil, usage(errors.New("standard input is a terminal, and "+stdinArg+" reads an archive from it"),
				"pipe the archive into the command, as in: docker save app:1 | sallyport images load "+stdinArg)
		}
		return io.NopCloser(ui.in), nil
	}
	for prefix := range strings.SplitSeq("docker-archive: oci-archive: oci:", " ") {
		if path, ok := strings.CutPrefix(what, prefix); ok {
			return nil, usage(fmt.Errorf("%s: load finds out by itself what an archive is", what), "sallyport images load "+path)
		}
	}
	info, err := hostfile.Stat(ctx, what)
	if err != nil || info.IsDir() || info.Mode().IsRegular() {
		return nil, nil // the daemon reports what is wrong; there may be a name behind the path
	}
	return os.Open(what)
}

// untilDone returns a reader that ends with ctx, although a read of r may still wait.
func untilDone(ctx context.Context, r io.Reader) io.Reader {
	out, in := io.Pipe()
	context.AfterFunc(ctx, func() { _ = in.CloseWithError(context.Cause(ctx)) })
	go func() {
		_, err := io.Copy(in, r)
		_ = in.CloseWithError(err)
	}()
	return out
}

func sayLoaded(ui *ui, loaded host.LoadedImages) {
	for _, i := range loaded.Images {
		now := spec.ShortDigest(i.Digest)
		switch {
		case i.Before == "":
			ui.sayf("loaded %s (%s)", i.Image, now)
		case i.Before == i.Digest:
			ui.sayf("loaded %s (%s, as before)", i.Image, now)
		default:
			ui.sayf("loaded %s (%s, and was %s)", i.Image, now, spec.ShortDigest(i.Before))
		}
		if len(i.Groups) > 0 {
			ui.notef("%s goes on with another one; apply its file again for this one", strings.Join(i.Groups, ", "))
		}
	}
	for _, text := range loaded.Skipped {
		ui.notef("not loaded: %s", text)
	}
}
