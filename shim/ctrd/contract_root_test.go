package ctrd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/moby/sys/mountinfo"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/ctrd/archive"
	"github.com/sallyport/sallyport/shim/ctrd/devices"
	"github.com/sallyport/sallyport/shim/hosttest/contract"
	"github.com/sallyport/sallyport/shim/signed/signedtest"
	"github.com/sallyport/sallyport/spec"
)

func TestRootRuntimeContract(t *testing.T) {
	path := busyboxArchive(t)
	eachServer(t, func(t *testing.T, c *Client) {
		contract.RuntimeContract(t, func(t *testing.T) contract.Fixture { return contractFixture(t, c, path) })
	})
}

// reportLine is a program that prints what it finds as its first act, and runs until it is stopped.
// It prints how it can open a device, and the paths of log folders in which it can read each file.
const reportLine = `echo "netns: $(stat -L -c %i /proc/self/ns/net)"; echo "cgroup: $(cat /proc/self/cgroup)"; cat /proc/self/status; ` +
	`for way in r: w:; do case $way in r:) (: < ` + contract.DevicePath + `) ;; w:) (: > ` + contract.DevicePath + `) ;; esac 2>/dev/null && echo "opens $way"; done; ` +
	`while read -r _ _ _ root at _; do case "$root" in */log/*) cat "$at"/* > /dev/null 2>&1 && echo "reads $at:"; esac; done < /proc/self/mountinfo; ` +
	`echo mounts:; cat /proc/self/mountinfo; echo end; printf '` + errorMark + `' >&2; trap : HUP USR1; while :; do sleep 1000 & wait; done`

// reportLine prints errorMark to standard error.
const errorMark = "<to standard error>"

func contractFixture(t *testing.T, c *Client, path string) contract.Fixture {
	l := c.cfg.Layout
	image := archive.OCIPrefix + path
	device := contractDevices(t, c)
	signer, stranger := contractSigners(t, c, image)
	read := func(path string) string {
		b, _ := os.ReadFile(path)
		return string(b)
	}
	output := func(group, name string) string { return read(l.LogPath(group, name)) }
	return contract.Fixture{
		Runtime:  c,
		Layout:   l,
		Image:    image,
		Program:  []string{"/bin/sh", "-c", reportLine},
		Device:   device,
		NoDevice: "/dev/none-of-them",
		WayOut:   "/dev/null",
		Signer:   signer,
		Stranger: stranger,
		Seal: func(group string) (string, error) {
			pinNetns(t, l.NetnsPath(group))
			var st unix.Stat_t
			err := unix.Stat(l.NetnsPath(group), &st)
			return strconv.FormatUint(st.Ino, 10), err
		},
		Mount: func(group, volume string) error { return os.MkdirAll(l.VolumePath(group, volume), 0o755) },
		Ran:   func(group, name string) bool { return output(group, name) != "" },
		Report: func(group, name string) (contract.Report, error) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			var text, errs string
			for {
				text, errs = output(group, name), l.LogPath(group, name)
				if !strings.Contains(text, errorMark) && strings.Contains(read(l.ErrLogPath(group, name)), errorMark) {
					errs, text = l.ErrLogPath(group, name), text+errorMark
				}
				report := strings.Replace(text, errorMark, "", 1) // it may be in the middle
				if report != text && strings.HasSuffix(report, "\nend\n") {
					text = report
					break
				}
				if pause(ctx, lookAgain) != nil {
					return contract.Report{}, fmt.Errorf("no report, but %q", text)
				}
			}
			r, err := readReport(text, filepath.Dir(errs))
			if err != nil {
				return r, err
			}
			r.Output, r.Errors = l.LogPath(group, name), errs // where they were found
			r.Cgroup, err = cgroupOf(c, group, name)
			return r, err
		},
	}
}

// contractDevices makes a device of this host one to read, and /dev/null one that no container gets
// by a device block: what the kernel calls them is made up.
func contractDevices(t *testing.T, c *Client) (path string) {
	root := t.TempDir()
	path = anyDevice(t)
	for path, subsystem := range map[string]string{path: "input", "/dev/null": "misc"} {
		var st unix.Stat_t
		if err := unix.Stat(path, &st); err != nil {
			t.Fatal(err)
		}
		describeDevice(t, root, st.Rdev, subsystem)
	}
	c.devices = devices.At(root)
	return path
}

// contractSigners returns one who has signed the image, and one who has not. The host has no proof.
func contractSigners(t *testing.T, c *Client, ref string) (signer, stranger spec.Signer) {
	image, err := c.Image(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	id := digest.Digest(image.Digest)
	if err := c.proofs.Remove(id); err != nil {
		t.Fatal(err)
	}
	key := signedtest.NewKey(t, "ecdsa")
	bundle := key.Bundle(t, signedtest.Statement(signedtest.Signed, id.Encoded()))
	return spec.Signer{Key: key.Public, File: "vendor.pub", Bundle: bundle, BundleFile: "app.sigstore.json"},
		spec.Signer{Key: signedtest.NewKey(t, "ecdsa").Public, File: "other.pub", Bundle: bundle, BundleFile: "app.sigstore.json"}
}

// readReport reads what reportLine prints, but for the cgroup: a container sees its own as the
// root. folder is the log folder of the container's group.
func readReport(text, folder string) (r contract.Report, err error) {
	text, mounts, _ := strings.Cut(text, "\nmounts:\n")
	found := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(line, ":")
		found[name] = strings.TrimSpace(value)
	}
	r.Netns = found["netns"]
	r.Filtered = found["NoNewPrivs"] == "1" && found["Seccomp"] == "2"
	r.Devices = map[string]string{}
	for _, way := range []string{"r", "w"} {
		if _, ok := found["opens "+way]; ok {
			r.Devices[contract.DevicePath] += way
		}
	}
	bits, err := strconv.ParseUint(found["CapBnd"], 16, 64)
	if err != nil {
		return r, fmt.Errorf("capabilities: %w", err)
	}
	for bit, name := range capabilityNames {
		if bits&(1<<bit) != 0 {
			r.Capabilities = append(r.Capabilities, name)
			bits &^= 1 << bit
		}
	}
	if bits != 0 {
		r.Capabilities = append(r.Capabilities, fmt.Sprintf("%#x", bits))
	}
	infos, err := mountinfo.GetMountsFromReader(strings.NewReader(strings.TrimSuffix(mounts, "end\n")), nil)
	if err != nil {
		return r, fmt.Errorf("mounts: %w", err)
	}
	r.Mounts, r.GroupOutput = map[string]contract.Mount{}, map[string]contract.Folder{}
	for _, m := range infos {
		switch {
		case m.Root != "/" && strings.HasSuffix(folder, m.Root): // from the root of its file system
			_, readable := found["reads "+m.Mountpoint]
			r.GroupOutput[m.Mountpoint] = contract.Folder{Path: folder, ReadOnly: strings.HasPrefix(m.Options, "ro,"), Readable: readable}
		case m.Mountpoint == "/":
			r.ReadOnly = strings.HasPrefix(m.Options, "ro,")
		case m.FSType == "tmpfs" && m.Root == "/" && !kernels.MatchString(m.Mountpoint):
			tmpfs, err := readTmpfs(m)
			if err != nil {
				return r, err
			}
			r.Tmpfs = append(r.Tmpfs, tmpfs)
		}
		if filepath.Base(filepath.Dir(filepath.Dir(m.Root))) != "volumes" { // a path of Layout.VolumePath
			continue
		}
		r.Mounts[m.Mountpoint] = contract.Mount{Volume: filepath.Base(m.Root), ReadOnly: strings.HasPrefix(m.Options, "ro,")}
	}
	return r, nil
}

// kernels matches the places of the kernel's filesystems. Other tmpfs mounts are there.
var kernels = regexp.MustCompile(`^/(dev|proc|sys)(/|$)`)

// readTmpfs returns the options of a tmpfs. The kernel shows neither the mode 1777 nor an owner
// that is root.
func readTmpfs(m *mountinfo.Info) (spec.Tmpfs, error) {
	t := spec.Tmpfs{Path: m.Mountpoint, Exec: !slices.Contains(strings.Split(m.Options, ","), "noexec")}
	uid, gid := "0", "0"
	for option := range strings.SplitSeq(m.VFSOptions, ",") {
		name, value, _ := strings.Cut(option, "=")
		var n uint64
		var err error
		switch name {
		case "size":
			n, err = strconv.ParseUint(strings.TrimSuffix(value, "k"), 10, 63)
			t.Size = int64(n) << 10
		case "mode":
			n, err = strconv.ParseUint(value, 8, 32)
			t.Mode = uint32(n)
		case "uid":
			uid = value
		case "gid":
			gid = value
		}
		if err != nil {
			return t, fmt.Errorf("options %q of %s: %w", m.VFSOptions, m.Mountpoint, err)
		}
	}
	if owner := uid + ":" + gid; owner != "0:0" {
		t.Owner = owner
	}
	return t, nil
}

// cgroupOf looks where the rules look: in the v2 hierarchy.
func cgroupOf(c *Client, group, name string) (string, error) {
	states, err := c.Observe(context.Background(), group)
	if err != nil {
		return "", err
	}
	for _, s := range states {
		if s.Name != name {
			continue
		}
		b, err := os.ReadFile("/proc/" + strconv.Itoa(int(s.PID)) + "/cgroup")
		if err != nil {
			return "", err
		}
		for line := range strings.Lines(string(b)) {
			if path, ok := strings.CutPrefix(line, "0::"); ok {
				return strings.TrimSpace(path), nil
			}
		}
		return "", errors.New("it is in no cgroup of the v2 hierarchy")
	}
	return "", fmt.Errorf("%s is not observed", spec.ID(group, name))
}

// capabilityNames are the kernel's, by their number.
var capabilityNames = []string{
	"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP", "LINUX_IMMUTABLE",
	"NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT",
	"SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE",
	"AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ",
	"PERFMON", "BPF", "CHECKPOINT_RESTORE",
}
