package wine

import "testing"

func TestSpread(t *testing.T) {
	for _, tc := range []struct {
		what     string
		programs int
		files    uint64
		cpus     int
		want     Crowd
	}{
		{"nobody knows how many", 0, 20000, 8, Crowd{1, 1987}},
		{"as many as lanes", 64, 20000, 64, Crowd{1, 1024}},
		{"a server for each processor", 1024, 20000, 2, Crowd{2, 1024}},
		{"few programs, many processors", 1000, 20000, 64, Crowd{7, 1024}},
		{"many programs", 4096, 20000, 2, Crowd{4, 1024}},
		{"one more than fits", 4097, 20000, 2, Crowd{5, 1024}},
		{"a record", 16384, 20000, 2, Crowd{16, 1024}},
		{"many processors", 16384, 1 << 20, 64, Crowd{64, 1024}},
		{"few descriptors", 1000, 1024, 1, Crowd{12, 89}},
		{"hardly any", 3, 100, 1, Crowd{3, 1}},
	} {
		if got := Spread(tc.programs, tc.files, tc.cpus); got != tc.want {
			t.Errorf("%s: %+v, want %+v", tc.what, got, tc.want)
		}
	}
}

func TestClientsUnder(t *testing.T) {
	for files, want := range map[uint64]int{0: 1, 100: 1, 1024: 89, 4096: 396, 20000: 1987, 1 << 20: 4096} {
		if got := clientsUnder(files); got != want {
			t.Errorf("%d files: %d clients, want %d", files, got, want)
		}
		// FACTS: about five descriptors a client, and a server past its limit hangs.
		if got := clientsUnder(files); files > 1000 && uint64(got)*5+filesReserved > files {
			t.Errorf("%d files do not serve %d clients", files, got)
		}
	}
}
