package job

import "testing"

func TestPrintable(t *testing.T) {
	for _, c := range []struct {
		in    string
		limit int
		want  string
	}{
		{"sim.exe", 80, "sim.exe"},
		{"a b\tc\n\x1b[31m", 80, "a b?c??[31m"},
		{"\xff\u202eé", 80, "??é"},
		{"éé", 4, "éé"},
		{"ééé", 4, "éé…"},
		{"ééé", 5, "éé…"},
		{"", 0, ""},
	} {
		if got := Printable(c.in, c.limit); got != c.want {
			t.Errorf("%q in %d: %q, want %q", c.in, c.limit, got, c.want)
		}
	}
}
