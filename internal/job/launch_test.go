package job

import (
	"errors"
	"testing"
)

func TestParseReady(t *testing.T) {
	for _, s := range []string{"exec", "output:^listening on [0-9]+$", "output:a:b", "file:ready", "file:sub/ready"} {
		r, err := ParseReady(s)
		if err != nil || r.String() != s {
			t.Errorf("ParseReady(%q) = %q, %v", s, r, err)
		}
	}
	for _, s := range []string{"", "exec:", "output", "output:", "output:(", "file:", "file:/etc/passwd", "file:../x", "port:80"} {
		if _, err := ParseReady(s); !errors.Is(err, ErrBadInput) {
			t.Errorf("ParseReady(%q): %v", s, err)
		}
	}
}
