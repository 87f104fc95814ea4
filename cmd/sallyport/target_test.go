package main

import "testing"

func TestTarget(t *testing.T) {
	for _, c := range []struct {
		text string
		want target
		ok   bool
	}{
		{"web", target{"web", ""}, true},
		{"web.app", target{"web", "app"}, true},
		{"", target{}, false},
		{".app", target{}, false},
		{"web.", target{}, false},
		{"web.app.x", target{}, false},
	} {
		t.Run(c.text, func(t *testing.T) {
			var got target
			err := got.UnmarshalText([]byte(c.text))
			if (err == nil) != c.ok || got != c.want {
				t.Errorf("got %+v, %v; want %+v, ok %v", got, err, c.want, c.ok)
			}
			if c.ok && got.String() != c.text {
				t.Errorf("prints as %q", got)
			}
		})
	}
}
