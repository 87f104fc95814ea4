package ctrd

import (
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/shim/hint"
)

// pullProblem returns why an image could not be pulled, with the hint in err.
func pullProblem(src source, err error) error {
	text := fmt.Errorf("image %s: %w", src.name, err)
	var problem *hint.Error
	if errors.As(err, &problem) {
		return &hint.Error{Err: text, Hint: problem.Hint}
	}
	return text
}
