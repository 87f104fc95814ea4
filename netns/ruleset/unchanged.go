package ruleset

// Unchanged reports whether the kernel's table is one that this process has compared with what it wanted, or written itself, and
// that nobody has changed since. It is one request. at is of now.
func (c *Conn) Unchanged(table string) (known bool, at Generation, err error) {
	if at, err = c.Generation(); err != nil {
		return false, at, err
	}
	_, known = recall(at, table)
	return known, at, nil
}
