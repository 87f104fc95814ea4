package promise

import "testing"

const projectTitle = "4. To leave the project that bounds what a container writes"

// Words of the matrix for what only the attacker's own calls show.
const (
	refused = "refused"
	done    = "done"
)

// projects lists the ways to change a file's project, or whether a folder gives its own to new
// files. A bound on disk rests on it. Each acts on files of the attacker.
var projects = []technique{
	{name: "project", what: "ioctl FS_IOC_FSSETXATTR (chattr -p)"},
	{name: "project-upper", what: "ioctl FS_IOC_FSSETXATTR, with bits that the kernel drops"},
	{name: "project-flags", what: "ioctl FS_IOC_SETFLAGS (chattr -P)"},
	{name: "project-flags-32", what: "ioctl FS_IOC32_SETFLAGS"},
	{name: "project-flags-32", what: "ioctl FS_IOC32_SETFLAGS of a 32-bit program", how: "child386", optional: true},
	{name: "project-setattr", what: "file_setattr", optional: true},
}

// TestPromiseProject is class 4 as well. No capture can see such a change, so the attacker's calls
// are the judge. There are two controls: each attacker can read the project of the same files, and
// root there can do what is refused.
func TestPromiseProject(t *testing.T) {
	r, s := newOutboundTest(t), newSection(t, projectTitle)
	for _, y := range r.all(technique{name: "project-read"}, nowhere, 0) {
		if y.err != nil || y.o.Error != "" {
			t.Errorf("%s can't read a project, so its rows prove nothing: %s (%v)", y.who, y.o.Error, y.err)
		}
	}
	for _, x := range projects {
		for _, y := range r.all(x, nowhere, 0) {
			got := row{technique: x.title(), who: y.who, expected: refused, seen: refused, told: y.o.told()}
			switch {
			case y.err != nil:
				got.seen = "the attacker failed"
			case y.o.Error == "":
				got.seen = done
			}
			s.add(got, y.o.Error, y.err)
		}
		how, who := "self", "root there"
		if x.how != "" {
			how = x.how
		}
		if x.optional {
			who += ifThere
		}
		if o := asRoot(r.Machine, r.ns, attackOrder{how, x.name, nowhere, 0}); o.Error != "" && !(x.optional && o.lacking()) {
			t.Errorf("not even root there can do %s, so that row proves nothing: %s", x.title(), o.Error)
		}
		s.control(x.title(), "", who)
	}
}
