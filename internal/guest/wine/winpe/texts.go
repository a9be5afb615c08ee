package winpe

import (
	"bytes"
	"debug/pe"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
)

// A program may load DLLs by name while it runs (LoadLibrary), and look up functions
// (GetProcAddress); no table says so, but the names have to stand somewhere in
// its data, as ASCII or as UTF-16. texts looks for those that matter to Decide. What
// the import tables themselves hold does not count, nor does debug information.

// maxScan bounds how many bytes of a file are looked through.
const maxScan = 256 << 20

// tooLarge is the hint of a file that was not looked through to its end.
var tooLarge = Hint{Text: "", Why: "too large to look through"}

// texts fills in what the file's texts tell: Hints, Go and Loads.
func (im *image) texts(info *Info) error {
	im.sortNames()
	sc := scanner{im: im, seen: map[int]bool{}}
	left := int64(maxScan)
	for _, s := range im.sections {
		if s.SizeOfRawData == 0 || s.Characteristics&pe.IMAGE_SCN_MEM_DISCARDABLE != 0 || strings.HasPrefix(string(s.Name[:]), ".debug") {
			continue
		}
		start := int64(s.PointerToRawData)
		end := min(start+int64(s.SizeOfRawData), im.size)
		if end-start > left {
			end, info.Hints = start+left, append(info.Hints, tooLarge)
		}
		left -= end - start
		if err := sc.section(start, end); err != nil {
			return err
		}
	}
	sc.report(info)
	return nil
}

// words is the automaton for all texts that are looked for. It is made once, when
// first wanted.
var words = sync.OnceValue(func() *matcher {
	list := make([]string, len(hintWords))
	for i, h := range hintWords {
		list[i] = h.word
	}
	return newMatcher(list)
})

// scanner looks for hintWords.
type scanner struct {
	im   *image
	seen map[int]bool
	goAt string // version found behind Go's mark
}

const goMark = "\xff Go buildinf:"

// section looks through the bytes of the file from start to end, in pieces that
// overlap by as much as is ever looked at around a word.
func (sc *scanner) section(start, end int64) error {
	const piece, overlap = 1 << 20, 256
	buf := make([]byte, min(end-start, piece+2*overlap))
	for at := start; at < end; at += piece {
		from := max(start, at-overlap)
		b := buf[:min(end, at+piece+overlap)-from]
		if n, err := sc.im.r.ReadAt(b, from); err != nil && !errors.Is(err, io.EOF) {
			return err
		} else if n < len(b) {
			return io.ErrUnexpectedEOF
		}
		sc.piece(b, from)
	}
	return nil
}

// piece looks at bytes that stand at offset from in the file.
func (sc *scanner) piece(b []byte, from int64) {
	m := words()
	narrow := uint16(0)
	var wide [2]uint16 // UTF-16 that begins at an even, at an odd offset
	for i, c := range b {
		narrow = m.next[narrow][c]
		if len(m.found[narrow]) > 0 {
			sc.hits(m.found[narrow], b, from, i, 1)
		}
		if i+1 < len(b) && b[i+1] == 0 && c != 0 {
			wide[i&1] = m.next[wide[i&1]][c]
			if len(m.found[wide[i&1]]) > 0 {
				sc.hits(m.found[wide[i&1]], b, from, i, 2)
			}
		} else {
			wide[i&1] = 0
		}
	}
	if i := bytes.Index(b, []byte(goMark)); i >= 0 && sc.goAt == "" {
		sc.goAt = goVersion(b[i+len(goMark):])
	}
}

// hits takes note of words whose last character is at b[last]; characters are step
// bytes apart.
func (sc *scanner) hits(found []int, b []byte, from int64, last, step int) {
	for _, n := range found {
		if sc.seen[n] {
			continue
		}
		h := hintWords[n]
		first := last - (len(h.word)-1)*step
		if first < 0 || step == 1 && sc.im.inNames(from+int64(first)) {
			continue
		}
		if h.dll && !isDLLName(b, first, last, step) {
			continue
		}
		sc.seen[n] = true
	}
}

// isDLLName reports whether the word from first to last is used as a DLL's name:
// "ole32.dll", or "ole32" standing alone.
func isDLLName(b []byte, first, last, step int) bool {
	var after []byte
	for i := last + step; i < len(b) && len(after) < 4; i += step {
		after = append(after, b[i])
	}
	if ext := string(bytes.ToLower(after)); ext == ".dll" || ext == ".drv" {
		return true
	}
	alone := func(i int) bool { return i < 0 || i >= len(b) || b[i] == 0 }
	return alone(first-step) && alone(last+step)
}

// goVersion reads the version behind Go's mark: a byte with the pointer size, one
// with flags, padding up to 32 bytes, then a length and the text. Before Go 1.18
// the text stood elsewhere.
func goVersion(b []byte) string {
	const at = 32 - len(goMark)
	if len(b) < at+2 || b[1]&2 == 0 {
		return "go"
	}
	n := int(b[at])
	if n == 0 || n > 100 || len(b) < at+1+n {
		return "go"
	}
	v := string(b[at+1 : at+1+n])
	if strings.ContainsFunc(v, func(r rune) bool { return r < 0x20 || r > 0x7E }) {
		return "go"
	}
	return v
}

// report turns what was seen into Info.
func (sc *scanner) report(info *Info) {
	has := func(word string) bool {
		return sc.seen[slices.IndexFunc(hintWords, func(h hintWord) bool { return h.word == word })]
	}
	info.Go = sc.goAt
	if info.Go != "" && has("bcryptprimitives") {
		info.Loads = append(info.Loads, Load{DLL: "bcryptprimitives.dll", Why: "by the runtime of " + info.Go})
	}
	// The C runtimes that Microsoft's compiler links into programs hold names for a
	// message box of their own, shown only when the runtime itself gives up.
	runtimeBox := has("getlastactivepopup") && has("getprocesswindowstation") || has("ext-ms-win-ntuser-windowstation-l1-1-0")
	for n, h := range hintWords {
		switch {
		case !sc.seen[n] || h.why == "":
		case h.word == "user32" && runtimeBox:
		case info.Go != "" && (h.word == "winmm" || h.word == "powrprof"):
			// Go's runtime names them: for its clock, and to be told of sleep.
		default:
			text := h.word
			if h.dll {
				text += ".dll"
			}
			info.Hints = append(info.Hints, Hint{Text: text, Why: h.why})
		}
	}
}

// packed reports whether the file has been compressed or protected: known section
// names, or code that is to be written before it runs.
func (im *image) packed() bool {
	for _, s := range im.sections {
		name := strings.ToLower(strings.TrimRight(string(s.Name[:]), "\x00"))
		for _, p := range []string{"upx", ".aspack", ".adata", ".mpress", ".vmp", ".themida", ".winlice", ".petite", "pec", ".enigma", "nsp"} {
			if strings.HasPrefix(name, p) {
				return true
			}
		}
		const both = pe.IMAGE_SCN_MEM_WRITE | pe.IMAGE_SCN_MEM_EXECUTE
		if s.Characteristics&both == both && im.entry >= s.VirtualAddress && im.entry-s.VirtualAddress < max(s.VirtualSize, s.SizeOfRawData) {
			return true
		}
	}
	return false
}
