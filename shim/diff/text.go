package diff

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	textdiff "github.com/rogpeppe/go-internal/diff"

	"github.com/sallyport/sallyport/spec"
)

// maxText is how many bytes of a value are printed.
const maxText = 60

// text returns the value as it may be printed.
func (l *leaf) text() string {
	switch {
	case l.hidden:
		return Hidden
	case l.content && IsText(l.value):
		return lines(strings.Count(strings.TrimSuffix(l.value, "\n"), "\n") + 1)
	case l.content:
		return sum(l.value)
	}
	return cut(l.value)
}

// cut returns a value, cut if it is long. What is cut has its size and its hash, so that two long
// values never look the same.
func cut(value string) string {
	if len(value) <= maxText {
		return value
	}
	head := value[:maxText]
	for !utf8.ValidString(head) {
		head = head[:len(head)-1]
	}
	return head + "… (" + sum(value) + ")"
}

func sum(value string) string {
	s := sha256.Sum256([]byte(value))
	return fmt.Sprintf("%d bytes, sha256:%s", len(value), spec.ShortDigest(hex.EncodeToString(s[:])))
}

// IsText reports whether a file's content can be printed.
func IsText(content string) bool {
	return utf8.ValidString(content) && !strings.ContainsRune(content, 0)
}

// Lines returns how many lines of two texts differ. A line that was replaced counts once.
func Lines(before, now string) int {
	var gone, come int
	for _, line := range bytes.Split(Unified("", []byte(before), "", []byte(now)), []byte("\n"))[2:] {
		switch {
		case bytes.HasPrefix(line, []byte("-")):
			gone++
		case bytes.HasPrefix(line, []byte("+")):
			come++
		}
	}
	return max(gone, come)
}

// Unified returns the unified diff of two texts. It is empty if they are equal.
func Unified(beforeName string, before []byte, nowName string, now []byte) []byte {
	_, text, _ := bytes.Cut(textdiff.Diff(beforeName, before, nowName, now), []byte("\n"))
	return text
}

// VariableText returns the value of a variable as it may be printed. It is empty if it is not
// known.
func VariableText(v spec.Variable) string {
	switch {
	case v.Sensitive:
		return Hidden
	case v.Sum != "":
		return fmt.Sprintf("%d bytes, sha256:%s", v.Size, spec.ShortDigest(v.Sum))
	case v.Value == nil:
		return ""
	}
	var value any
	var plain bytes.Buffer
	d, e := json.NewDecoder(bytes.NewReader(v.Value)), json.NewEncoder(&plain)
	d.UseNumber()
	e.SetEscapeHTML(false)
	if d.Decode(&value) != nil || e.Encode(value) != nil {
		return ""
	}
	if text, ok := value.(string); ok {
		return quoted(text)
	}
	return strings.TrimSuffix(plain.String(), "\n")
}
