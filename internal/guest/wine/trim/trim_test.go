package trim

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"muster/internal/guest/wine/winetest"
)

// wineFile is a file of this machine's Wine.
func wineFile(t *testing.T, name string) []byte {
	t.Helper()
	_, dlls := winetest.NeedWine(t)
	b, err := os.ReadFile(filepath.Join(dlls, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// changed are the places where two files of the same size differ.
func changed(t *testing.T, before, after []byte) (first, last int) {
	t.Helper()
	if len(before) != len(after) {
		t.Fatalf("it has %d bytes, and had %d", len(after), len(before))
	}
	first = -1
	for i := range before {
		if before[i] != after[i] {
			if first < 0 {
				first = i
			}
			last = i
		}
	}
	return first, last
}

func TestEditsOfThisWine(t *testing.T) {
	for _, tc := range []struct {
		file  string
		edit  func([]byte) ([]byte, error)
		bytes int // at most so many side by side
	}{
		{"ntdll.dll", ForgetStack, 49},
		{"kernelbase.dll", LeaveTimeZone, 5},
		{"../x86_64-unix/ntdll.so", func(b []byte) ([]byte, error) { return RenameString(b, "locale.nls", 2) }, 4},
	} {
		before := wineFile(t, tc.file)
		after, err := tc.edit(bytes.Clone(before))
		if err != nil {
			t.Fatalf("%s: %v", tc.file, err)
		}
		first, last := changed(t, before, after)
		if first < 0 || last-first >= tc.bytes {
			t.Errorf("%s: changed from %#x to %#x", tc.file, first, last)
		}
		// What is changed is not changed again, nor is what has it twice or is no such file.
		if tc.file != "../x86_64-unix/ntdll.so" {
			if _, err := tc.edit(bytes.Clone(after)); !errors.Is(err, ErrOther) {
				t.Errorf("%s, for the second time: %v", tc.file, err)
			}
		}
		for name, bad := range map[string][]byte{"nothing": nil, "its beginning": before[:0x1000], "text": bytes.Repeat([]byte("text"), 1000)} {
			if _, err := tc.edit(bytes.Clone(bad)); !errors.Is(err, ErrOther) {
				t.Errorf("%s: %s: %v", tc.file, name, err)
			}
		}
	}
	twice := append(bytes.Clone(clearStack), append(make([]byte, 100), append(bytes.Clone(clearStack), make([]byte, 8)...)...)...)
	if _, err := ForgetStack(twice); !errors.Is(err, ErrOther) {
		t.Errorf("twice: %v", err)
	}
}

// Where the build is known, three loads and two calls change, and what is behind the code.
func TestLazyTopology(t *testing.T) {
	before := wineFile(t, "../x86_64-unix/ntdll.so")
	after, err := LazyTopology(bytes.Clone(before))
	if err != nil {
		t.Fatalf("this ntdll.so is not known: %v", err)
	}
	if len(after) != len(before) {
		t.Fatalf("it has %d bytes, and had %d", len(after), len(before))
	}
	places := 0
	for i := 0; i < len(before); i++ {
		if before[i] != after[i] {
			places++
			for n := 0; n < 200 && i < len(before); n++ { // a place is no longer than that
				i++
			}
		}
	}
	if places < 4 || places > 6 {
		t.Errorf("it is changed in %d places", places)
	}
	for name, bad := range map[string][]byte{"the changed one": after, "nothing": nil, "a byte more": append(bytes.Clone(before), 0)} {
		if _, err := LazyTopology(bad); !errors.Is(err, ErrOther) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The call at the end leads to where it led before.
func TestForgetStackCallsTheSame(t *testing.T) {
	b := append(bytes.Clone(clearStack), 0x10, 0x20, 0x00, 0x00, 0xCC)
	got, err := ForgetStack(b)
	if err != nil {
		t.Fatal(err)
	}
	end := len(forgetStack)
	if got[end-1] != 0xE8 || !bytes.Equal(got[end:end+4], []byte{0x11, 0x20, 0, 0}) || got[end+4] != 0x90 || got[end+5] != 0xCC {
		t.Errorf("% x", got)
	}
}

func TestLocaleIndex(t *testing.T) {
	_, dlls := winetest.NeedWine(t)
	nls := ""
	for _, share := range []string{"../../../../share/wine", "../../../share/wine", "../../share/wine"} {
		if path := filepath.Join(dlls, share, "nls/locale.nls"); nls == "" {
			if _, err := os.Stat(path); err == nil {
				nls = path
			}
		}
	}
	whole, err := os.ReadFile(nls)
	if err != nil {
		t.Fatal(err)
	}
	index, err := LocaleIndex(whole)
	if err != nil {
		t.Fatal(err)
	}
	want, _, err := readLocales(whole)
	if err != nil {
		t.Fatal(err)
	}
	got, header, err := readLocales(index)
	if err != nil {
		t.Fatal(err)
	}
	same := slices.EqualFunc(got, want, func(a, b locale) bool {
		return bytes.Equal(a.name, b.name) && a.locale == b.locale && a.id == b.id && a.number == b.number
	})
	if !same || len(want) < 500 || header.LocaleSize != 2 {
		t.Errorf("%d locales of %d, records of %d bytes", len(got), len(want), header.LocaleSize)
	}
	numbers := map[string]uint16{}
	for _, l := range got {
		numbers[string(bytes.ReplaceAll(l.name, []byte{0}, nil))] = l.number
	}
	for name, number := range map[string]uint16{"en-US": 0x0409, "de-DE": 0x0407, "de-CH": 0x0807, "ja-JP": 0x0411} {
		if numbers[name] != number {
			t.Errorf("%s is %#x", name, numbers[name])
		}
	}
	if len(index) > len(whole)/10 || len(index) <= 0x1000 {
		t.Errorf("%d bytes; Wine takes none of 4096 or less", len(index))
	}
	for _, n := range []int{0, 10, 100} {
		if _, err := LocaleIndex(whole[:n]); !errors.Is(err, ErrOther) {
			t.Errorf("%d bytes of it: %v", n, err)
		}
	}
}
