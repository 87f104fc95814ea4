package egress

import (
	"os"

	"github.com/sallyport/sallyport/netns/ruleset"
)

// Known reports whether the rules of a namespace are as this process last saw or made them; see [ruleset.Conn.Known].
func Known(ns *os.File) (known bool, at ruleset.Generation, err error) {
	conn, err := ruleset.Open(int(ns.Fd()))
	if err != nil {
		return false, at, err
	}
	defer conn.Close()
	return conn.Known(TableName)
}
