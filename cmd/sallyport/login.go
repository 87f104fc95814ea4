package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/sallyport/sallyport/shim/host"
)

// loginVerb has no flag for the password: the words of a command line can be read by every user of
// the host.
type loginVerb struct {
	Registry      string `arg:"" help:"The registry, as images have it: registry.example, or registry.example:5000. Or a part of it: registry.example/team."`
	Username      string `short:"u" placeholder:"NAME" help:"The user. Without it the terminal is asked."`
	PasswordStdin bool   `help:"Read the password from standard input. Without it the terminal is asked."`
	PlainHTTP     bool   `name:"plain-http" help:"Send the password to a registry that doesn't speak TLS."`
	JSON          bool   `name:"json" help:"Print JSON."`
}

// maxPassword limits the password from standard input, in bytes.
const maxPassword = 64 << 10

func (v *loginVerb) Run(ctx context.Context, ui *ui, in *instance) error {
	asks := term.IsTerminal(int(ui.in.Fd()))
	switch {
	case v.Username == "" && (!asks || v.PasswordStdin):
		return usage(errors.New("no user"), "name one: --username NAME")
	case v.PasswordStdin && asks:
		return usage(fmt.Errorf("standard input is a terminal, and --password-stdin reads the password of %s from it", v.Username), "leave out --password-stdin, and the terminal is asked")
	case !v.PasswordStdin && !asks:
		return usage(errors.New("no terminal to ask for the password"), "pass it by standard input: --password-stdin < FILE")
	}
	client, err := in.client(ctx)
	if err != nil {
		return err
	}
	if v.Username == "" {
		if v.Username, err = askTerminal(ctx, ui, "User: ", false); err != nil {
			return err
		}
	}
	var password string
	if v.PasswordStdin {
		var content []byte
		content, err = readStream(ctx, ui.in, maxPassword)
		password = strings.TrimRight(string(content), "\r\n")
		if err == nil && (password == "" || len(content) > maxPassword) {
			return usage(fmt.Errorf("standard input has no password for %s", v.Username), "it is one line: --password-stdin < FILE")
		}
	} else {
		password, err = askTerminal(ctx, ui, "Password of "+v.Username+": ", true)
	}
	if err != nil {
		return interrupted(ctx, err, "nothing was stored")
	}
	done, err := client.Login(ctx, host.RegistryLogin{Registry: v.Registry, User: v.Username, Password: host.Password(password), PlainHTTP: v.PlainHTTP})
	if err != nil {
		return err
	}
	if v.JSON {
		return ui.json(done)
	}
	ui.sayf("logged in to %s as %s; the login is in %s", done.Registry, done.User, done.File)
	if done.Unchecked {
		ui.notef("the registry asks nobody for a login, so the password could not be checked")
	}
	return nil
}

// askTerminal reads a line from the terminal. A secret one is not shown.
func askTerminal(ctx context.Context, ui *ui, prompt string, secret bool) (string, error) {
	fd := int(ui.in.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	fmt.Fprint(ui.err, prompt)
	defer func() {
		if secret {
			_ = term.Restore(fd, before) // an interrupted read leaves it without echo
			fmt.Fprintln(ui.err)
		}
	}()
	type line struct {
		text []byte
		err  error
	}
	lines := make(chan line, 1)
	go func() {
		if secret {
			text, err := term.ReadPassword(fd)
			lines <- line{text, err}
			return
		}
		text, err := readLine(ui.in)
		lines <- line{text, err}
	}()
	select {
	case l := <-lines:
		if l.err == nil && len(l.text) == 0 {
			return "", usage(errors.New("nothing was typed"), "")
		}
		return string(l.text), l.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// readLine reads up to the end of a line, and nothing behind it.
func readLine(in *os.File) (text []byte, err error) {
	for b := make([]byte, 1); len(text) < maxPassword; {
		n, err := in.Read(b)
		if n == 1 && b[0] != '\n' {
			text = append(text, b[0])
			continue
		}
		return []byte(strings.TrimRight(string(text), "\r")), err
	}
	return text, errors.New("the line is too long")
}

type logoutVerb struct {
	Registry string `arg:"" help:"The registry, or the part of it, as it was logged in to."`
	JSON     bool   `name:"json" help:"Print JSON."`
}

func (v *logoutVerb) Run(ctx context.Context, ui *ui, in *instance) error {
	client, err := in.client(ctx)
	if err != nil {
		return err
	}
	done, err := client.Logout(ctx, v.Registry)
	if err != nil {
		return err
	}
	if v.JSON {
		return ui.json(done)
	}
	if done.Removed {
		ui.sayf("logged out of %s", done.Registry)
	} else {
		ui.sayf("there was no login to %s", done.Registry)
	}
	if done.Elsewhere != "" {
		to := "it"
		if done.Registry != done.Part && strings.Contains(done.Registry, "/") {
			to = cmp.Or(done.Part, "the whole registry")
		}
		ui.notef("%s has a login to %s too, which is used from now on", done.Elsewhere, to)
	}
	return nil
}
