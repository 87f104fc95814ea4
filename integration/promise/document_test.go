package promise

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the parts of MATRIX.md that ran")

const document = "MATRIX.md"

// head is the text of MATRIX.md before its sections.
const head = `# What was tried against the promise

Only the ambassador's processes exchange packets with anything outside the group. ` + "`make integration`" + ` tries to break that, with
real containers on a real kernel. There is a row for each technique, over each family, from each kind of process. The judge is a
capture on the host's side of the link, not the attacker's own result. Every row of a denial has its control: the same act by a
process that may, or without the rules, is seen. So a row that can't fail is noticed.

The tests write this document (` + "`-update`" + `), and fail when it differs from what ran. It holds no counts and no times, so it is the
same on every machine.

- *from whom*: the app, its child, a grandchild whose parents have left, a sidecar, the init of a group that is starting, a shell
  that was exec'd into the app.
- *seen*: what the capture saw. *told*: what the attacker's own system calls returned. ` + "`refused`" + ` is an error, or a kill. ` + "`no answer`" + `
  is a call that timed out. ` + "`taken`" + ` means that the kernel took the call, and sent nothing. No capture can see a change of a
  file's project, so there *seen* has the effect of the calls.
- *root there* is a process with every right, on the host, in the group's network namespace and, for packets, the ambassador's cgroup.
- ¹ where the kernel has it (SCTP, DCCP, UDP-Lite, vsock, io_uring, 32-bit programs and the like). Elsewhere no process can do it,
  and the row holds as it stands.
- ² where the kernel can separate abstract unix sockets (BPF LSM). ` + "`sallyport doctor`" + ` shows whether it can. Elsewhere the call
  gets through, and packets are seen: SECURITY.md has that as a gap.
`

// titles are the document's sections, in order. The number is the class in the test list of
// netns/egress/RULES.md.
var titles = []string{
	outboundTitle,
	identityTitle,
	forgedTitle,
	familiesTitle,
	tamperTitle,
	deviceTitle,
	projectTitle,
	inboundTitle,
	loopbackTitle,
	flowsTitle,
	outlivedTitle,
	reachTitle,
	churnTitle,
	floodTitle,
	abstractTitle,
}

// compare compares a section that ran with the document's. With -update it writes it there.
func (s *section) compare(text string) {
	s.t.Helper()
	sections := readDocument(s.t)
	if *update {
		sections[s.title] = text
		writeDocument(s.t, sections)
		return
	}
	if diff := cmp.Diff(strings.Split(sections[s.title], "\n"), strings.Split(text, "\n")); diff != "" {
		s.t.Errorf("%s differs from the rows of %q that ran; if these are right, run again with -update (-document +ran):\n%s", document, s.title, diff)
	}
}

// TestMatrixDocument checks that the document has every section and nothing else. The tests that
// run the sections compare their content.
func TestMatrixDocument(t *testing.T) {
	sections := readDocument(t)
	if *update { // titles may have come or gone. The tests of the sections write what is under them.
		writeDocument(t, sections)
		return
	}
	for _, title := range titles {
		if sections[title] == "" {
			t.Errorf("%s has no section %q", document, title)
		}
	}
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(assemble(sections), string(text)); diff != "" {
		t.Errorf("%s is not what the tests write (-want +got):\n%s", document, diff)
	}
}

// readDocument maps titles to tables.
func readDocument(t testing.TB) map[string]string {
	t.Helper()
	text, err := os.ReadFile(document)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	sections := map[string]string{}
	for _, part := range strings.Split(string(text), "\n## ")[1:] {
		title, table, _ := strings.Cut(part, "\n\n")
		sections[title] = strings.TrimSuffix(table, "\n") + "\n"
	}
	return sections
}

func writeDocument(t testing.TB, sections map[string]string) {
	t.Helper()
	if err := os.WriteFile(document, []byte(assemble(sections)), 0o644); err != nil {
		t.Fatal(err)
	}
}

func assemble(sections map[string]string) string {
	var b strings.Builder
	b.WriteString(head)
	for _, title := range titles {
		if sections[title] != "" {
			b.WriteString("\n## " + title + "\n\n" + sections[title])
		}
	}
	return b.String()
}
