package group

// Counts has how often things happened to one group since the daemon started.
type Counts struct {
	Reconciliations uint64
	Failures        uint64 // reconciliations that failed, or could not see all of the group
	Repairs         uint64 // reconciliations that put back what others had changed
}
