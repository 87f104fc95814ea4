package runner

import "context"

// discardVolumes deletes the volumes of a group that is gone, if that was asked for.
func (r *Runner) discardVolumes(ctx context.Context, seq int) error {
	d, _ := r.desiredNow()
	if d.wanted != nil || !d.purge {
		return nil
	}
	r.report(seq, "delete its persistent volumes")
	back := r.progress.leave()
	err := r.machine.volumes.Discard(ctx, r.group)
	if back(); err != nil {
		return err
	}
	r.log.Info("its persistent volumes are deleted", "group", r.group)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.desired.purge = false
	return nil
}

// Purge asks for the volumes to be deleted too, once the group is gone.
func (r *Runner) Purge() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.desired.purge = true
}
