package reach

import "github.com/sallyport/sallyport/spec"

// givenUp says what an operator gives up with a capability, in the words that plan, status and doctor share.
var givenUp = map[string]string{
	"NET_ADMIN": "it can change the group's rules; what keeps members in is the fence alone",
	"NET_RAW":   "it sees what members send on loopback, and sends packets of any form",
}

// Unsafe says what is given up in a group, a line for each capability; nil where nothing is.
func Unsafe(g *spec.Group) []string {
	a := g.Ambassador()
	if a == nil {
		return nil
	}
	var out []string
	for _, name := range a.Unsafe.Capabilities {
		out = append(out, a.Title()+" has "+name+": "+givenUp[name])
	}
	return out
}
