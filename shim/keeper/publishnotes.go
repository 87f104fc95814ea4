package keeper

import (
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/plan"
	"github.com/sallyport/sallyport/spec"
)

// PublishNotes returns why callers of a group's published ports get no answer, a line each.
// Listeners in the group count if listens is true. Implemented by network.Network.PublishNotes.
type PublishNotes func(group string, published []spec.Publish, listens bool) []string

// publishNotes returns the notes about a group that is planned. An ambassador that is started anew
// may listen where no process listens now.
func (k *Keeper) publishNotes(in plan.Input) []string {
	ambassador := in.Want.Ambassador()
	if k.config.PublishNotes == nil || ambassador == nil || len(ambassador.Publish) == 0 {
		return nil
	}
	since, runs := plan.RunsOn(in, ambassador.Name)
	return k.config.PublishNotes(in.Group, ambassador.Publish, runs && k.config.Now().Sub(since) > group.ListenTime)
}
