package ruleset

// Unchanged reports whether no batch has changed the kernel's table since this process compared or
// wrote it. It costs one request. at is the current generation.
func (c *Conn) Unchanged(table string) (unchanged bool, at Generation, err error) {
	if at, err = c.Generation(); err != nil {
		return false, at, err
	}
	_, unchanged = recall(at, table)
	return unchanged, at, nil
}
