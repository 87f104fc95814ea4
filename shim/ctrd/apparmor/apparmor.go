// Package apparmor has the AppArmor profile of containers: the default one of containerd, which is
// Docker's, under a name of our own.
//
// A host without AppArmor is as good as one with it. The promise does not rest on the profile, so
// what keeps it from being loaded never keeps a container from being created.
package apparmor

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/contrib/apparmor"

	"github.com/sallyport/sallyport/shim/hint"
)

// Profile is the name of the profile that containers get.
const Profile = "sallyport-default"

// parserTimeout bounds one run of apparmor_parser. It takes a tenth of a second, and a hundred
// times as long on an emulated processor.
const parserTimeout = time.Minute

// A Host reads and changes AppArmor's state on this host.
type Host struct {
	sys   string // where sysfs is
	parse func(ctx context.Context, flags string) error
}

// New returns the Host of this machine. It looks at nothing yet. Only root's can load and try the
// profile. Another user's error is [fs.ErrPermission].
func New() Host {
	return Host{sys: "/sys", parse: func(ctx context.Context, flags string) error {
		if os.Geteuid() != 0 { // whose PATH may lack the parser, too
			return fs.ErrPermission
		}
		return parse(ctx, flags)
	}}
}

// Below returns a Host whose sysfs is in another folder, for tests. Its profiles are loaded by
// parse, which gets the flags of apparmor_parser.
func Below(sys string, parse func(ctx context.Context, flags string) error) Host {
	return Host{sys: sys, parse: parse}
}

// On reports whether the kernel has AppArmor, and it is on.
func (h Host) On() bool {
	enabled, err := os.ReadFile(filepath.Join(h.sys, "module/apparmor/parameters/enabled"))
	return err == nil && bytes.HasPrefix(enabled, []byte("Y"))
}

// Mode returns the mode of the profile in the kernel, such as "enforce". It is "" if the profile is
// not loaded. An error is of a host whose AppArmor can't be asked.
func (h Host) Mode() (string, error) {
	f, err := os.Open(filepath.Join(h.sys, "kernel/security/apparmor/profiles"))
	if errors.Is(err, fs.ErrNotExist) {
		return "", &hint.Error{Err: errors.New("/sys/kernel/security/apparmor/profiles is not there"), Hint: "mount it: mount -t securityfs securityfs /sys/kernel/security"}
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if mode, ok := strings.CutPrefix(lines.Text(), Profile+" ("); ok {
			return strings.TrimSuffix(mode, ")"), nil
		}
	}
	return "", lines.Err()
}

// Ensure returns the name of the profile for a new container, and loads it into the kernel if it is
// not there. Loaded reports that it did. The name is "" if AppArmor is off. It is also "" with an
// error, which is why a container has to do without.
func (h Host) Ensure(ctx context.Context) (profile string, loaded bool, err error) {
	if !h.On() {
		return "", false, nil
	}
	mode, err := h.Mode()
	if err != nil {
		return "", false, err
	}
	if mode != "" {
		return Profile, false, nil
	}
	// -r replaces what another daemon may have loaded meanwhile. -K leaves the host's cache alone.
	if err := h.parse(ctx, "-Kr"); err != nil {
		return "", false, err
	}
	if mode, err = h.Mode(); err == nil && mode == "" {
		err = errors.New("apparmor_parser has loaded the profile, and the kernel doesn't have it")
	}
	if err != nil {
		return "", false, err
	}
	return Profile, true, nil
}

// Try returns an error if the profile couldn't be loaded. It changes nothing.
func (h Host) Try(ctx context.Context) error { return h.parse(ctx, "-QK") }

// parse gives the profile to apparmor_parser.
func parse(ctx context.Context, flags string) error {
	parser, err := exec.LookPath("apparmor_parser")
	if err != nil {
		return &hint.Error{Err: errors.New("there is no apparmor_parser on the PATH"), Hint: "install it, as with: apt-get install apparmor"}
	}
	text, err := apparmor.DumpDefaultProfile(Profile)
	if err != nil {
		return fmt.Errorf("AppArmor profile %s: %w", Profile, err)
	}
	ctx, cancel := context.WithTimeout(ctx, parserTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, parser, flags)
	cmd.Stdin = strings.NewReader(text) // and not a file, for which a disk may have no space
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		return &hint.Error{
			Err:  fmt.Errorf("apparmor_parser %s with the profile %s: %w: %s", flags, Profile, err, hint.Excerpt(strings.TrimSpace(string(out)), hint.Long)),
			Hint: "see whether the host's other profiles can be loaded: systemctl status apparmor",
		}
	}
	return nil
}

// refusals are the words of runc and crun for a profile that they can't give to a container.
var refusals = []string{"unable to apply apparmor profile", "apparmor: config provided but apparmor not supported", "attr/apparmor/exec"}

// Refused reports whether the error of a runtime is about the profile. A runtime has words only.
func Refused(err error) bool {
	if err == nil {
		return false
	}
	for _, words := range refusals {
		if strings.Contains(err.Error(), words) {
			return true
		}
	}
	return false
}
