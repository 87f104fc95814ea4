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
	Registry  string   `json:"registry"` // as images have it: registry.example:5000; or a part of it: registry.example/team
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
	// Elsewhere is the file with the login that is used for the registry from now on. It is empty
	// if there is none.
	Elsewhere string `json:"elsewhere,omitempty"`
	Part      string `json:"part,omitempty"` // of the registry that this login is for; empty: the whole one
}

// A RegistryEnvironment has the daemon's environment, as far as it is for registries. It has no
// passwords.
type RegistryEnvironment struct {
	Path    string          `json:"path"` // where credential helpers are looked for
	Proxies []RegistryProxy `json:"proxies,omitempty"`
	NoProxy string          `json:"no_proxy,omitempty"`
}

// A RegistryProxy is a proxy that a variable of the environment names.
type RegistryProxy struct {
	Variable string `json:"variable"`       // HTTPS_PROXY
	Host     string `json:"host,omitempty"` // with its port; empty if the variable has no address of a proxy
}
