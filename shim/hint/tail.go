package hint

import (
	"strings"
	"sync"
	"unicode/utf8"
)

// A Tail keeps the end of what is written to it, such as the output of a command. Its text is of a
// container: [Excerpt] makes it safe. It is safe for concurrent use.
type Tail struct {
	Most int // required: how much is kept, in bytes

	mu   sync.Mutex
	text []byte
	cut  bool // more was written
}

func (t *Tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cut = t.cut || len(t.text)+len(p) > t.Most
	t.text = append(t.text, p[max(0, len(p)-t.Most):]...)
	t.text = t.text[max(0, len(t.text)-t.Most):]
	return len(p), nil
}

// Text returns what is kept. It doesn't begin within a letter that was cut.
func (t *Tail) Text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := t.text
	for i := 0; t.cut && i < utf8.UTFMax-1 && len(text) > 0 && !utf8.RuneStart(text[0]); i++ {
		text = text[1:]
	}
	return string(text)
}

// LastLine returns the last line that isn't blank.
func (t *Tail) LastLine() string {
	text := strings.TrimSpace(t.Text())
	return text[strings.LastIndexByte(text, '\n')+1:]
}
