package egress

import (
	"os"

	"github.com/sallyport/sallyport/netns/ruleset"
)

// Unchanged reports whether the rules of a namespace are as this process last read or wrote them;
// see [ruleset.Conn.Unchanged].
func Unchanged(ns *os.File) (unchanged bool, at ruleset.Generation, err error) {
	conn, err := ruleset.Open(int(ns.Fd()))
	if err != nil {
		return false, at, err
	}
	defer conn.Close()
	return conn.Unchanged(TableName)
}
