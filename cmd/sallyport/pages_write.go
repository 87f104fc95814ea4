//go:build pages

package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/sallyport/sallyport/cmd/sallyport/pages"
)

// With the tag pages the program does nothing but write the manual pages and the completions below
// a folder: sallyport DIR PAGE=DOCUMENT...
func init() {
	documents := map[string]string{}
	for _, arg := range os.Args[2:] {
		name, path, _ := strings.Cut(arg, "=")
		text, err := os.ReadFile(path)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		documents[name] = string(text)
	}
	if err := pages.Write(os.Args[1], pages.Files(newParser(&cli{}).Model, documents)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}
