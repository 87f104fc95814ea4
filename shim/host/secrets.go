package host

// Secrets describes the secrets of a group that are held. It has no value.
type Secrets struct {
	Any bool // something of the group is there
	// Held are the secrets whose values are held, sorted: from the wanted source, as far as that is
	// known without a read. One that the group does not have is among them as well.
	Held []string
	// Untold has, by container, the secrets that have other values than its program was given,
	// sorted.
	Untold map[string][]string
	// Cut are the containers that may have values which nothing renews: they were given none of
	// those that are held now.
	Cut []string
	// Problems has, by secret, why its source can't be read although its value is held.
	Problems map[string]string
}

// A SecretsRead has the outcome of reading the sources of a group's secrets.
type SecretsRead struct {
	Changed  []string // secrets that have other values than before, sorted
	Warnings []string // such as a file that others can read
}
