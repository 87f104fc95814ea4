package host

import "log/slog"

// A Password prints as dots. JSON has it as it is, because the control socket carries it.
type Password string

const hiddenPassword = "••••"

func (Password) String() string   { return hiddenPassword }
func (Password) GoString() string { return hiddenPassword }

// LogValue is for [log/slog].
func (Password) LogValue() slog.Value { return slog.StringValue(hiddenPassword) }

// A RegistryLogin asks that a registry be used with a user and a password from now on.
type RegistryLogin struct {
	Registry  string   `json:"registry"` // as images have it: registry.example:5000
	User      string   `json:"user"`
	Password  Password `json:"password"`
	PlainHTTP bool     `json:"plain_http,omitempty"` // the password may be sent without TLS
}

// A LoggedIn is a login that was stored. The command prints its JSON, too.
type LoggedIn struct {
	Registry string `json:"registry"`
	User     string `json:"user"`
	File     string `json:"file"` // where it is stored
	// Unchecked is true if the registry asks for no login, so that it is not known whether the
	// password is right.
	Unchecked bool `json:"unchecked"`
}

// A LoggedOut is a login that was removed. The command prints its JSON, too.
type LoggedOut struct {
	Registry string `json:"registry"`
	Removed  bool   `json:"removed"` // false: there was none
	// Elsewhere is another file with a login for the registry, which stays. It is empty if there is
	// none.
	Elsewhere string `json:"elsewhere,omitempty"`
}
