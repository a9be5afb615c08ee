package winpe

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf16"
)

// Folders gives a Finder's Beside for folders on the host, searched in order. Each is
// listed once, now; one that cannot be listed is an error.
func Folders(dirs ...string) (func(dll string) (path string, ok bool), error) {
	files := map[string]string{}
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, fmt.Errorf("look for DLLs: %w", err)
		}
		for _, e := range entries {
			key := strings.ToLower(e.Name())
			if _, ok := files[key]; !ok && !e.IsDir() {
				files[key] = filepath.Join(dir, e.Name())
			}
		}
	}
	return func(dll string) (string, bool) {
		path, ok := files[normal(dll)]
		return path, ok
	}, nil
}

// Builtins gives a Finder's Builtin for a folder of Windows DLLs: an image's
// system32, or the folder of Wine's own. apisets is the path of Wine's apisetschema.dll,
// "" for the one in the folder; API sets that stand for a DLL that is not there are not
// found.
func Builtins(system32, apisets string) (func(dll string) (host string, ok bool), error) {
	entries, err := os.ReadDir(system32)
	if err != nil {
		return nil, fmt.Errorf("list Wine's DLLs: %w", err)
	}
	files := make(map[string]string, len(entries))
	for _, e := range entries {
		files[strings.ToLower(e.Name())] = e.Name()
	}
	if apisets == "" {
		apisets = filepath.Join(system32, "apisetschema.dll")
	}
	b, err := os.ReadFile(apisets)
	if err != nil {
		return nil, fmt.Errorf("read Wine's API sets: %w", err)
	}
	sets, err := APISets(b)
	if err != nil {
		return nil, err
	}
	return func(dll string) (string, bool) {
		if host, ok := sets[apiSetKey(dll)]; ok {
			host, ok = files[normal(host)]
			return host, ok
		}
		host, ok := files[normal(dll)]
		return host, ok
	}, nil
}

// APISets reads an apisetschema.dll: the DLL that stands for each API set. The
// keys are lower case and lack the last number, which the loader leaves out of
// account: "api-ms-win-core-synch-l1-2".
func APISets(b []byte) (map[string]string, error) {
	section, err := apiSetSection(b)
	if err != nil {
		return nil, fmt.Errorf("read Wine's API sets: %w", err)
	}
	u32 := func(at uint32) (uint32, bool) {
		if uint64(at)+4 > uint64(len(section)) {
			return 0, false
		}
		return binary.LittleEndian.Uint32(section[at:]), true
	}
	text := func(at, n uint32) (string, bool) {
		if uint64(at)+uint64(n) > uint64(len(section)) || n > 2*maxName {
			return "", false
		}
		units := make([]uint16, n/2)
		for i := range units {
			units[i] = binary.LittleEndian.Uint16(section[int(at)+2*i:])
		}
		return strings.ToLower(string(utf16.Decode(units))), true
	}
	version, _ := u32(0)
	count, _ := u32(12)
	entries, ok := u32(16)
	if !ok || version != 6 {
		return nil, fmt.Errorf("read Wine's API sets: version %d is not known", version)
	}
	sets := map[string]string{}
	for n := range min(count, 1<<16) {
		at := entries + n*24 // flags, name offset and size, size without the last number, values, their count
		nameAt, ok1 := u32(at + 4)
		size, ok2 := u32(at + 12)
		valueAt, ok3 := u32(at + 16)
		values, ok4 := u32(at + 20)
		name, ok5 := text(nameAt, size)
		if !ok1 || !ok2 || !ok3 || !ok4 || !ok5 {
			return nil, errors.New("read Wine's API sets: the table is damaged")
		}
		if values == 0 {
			continue
		}
		hostAt, ok1 := u32(valueAt + 12) // flags, name offset and size, value offset and size
		hostSize, ok2 := u32(valueAt + 16)
		host, ok3 := text(hostAt, hostSize)
		if !ok1 || !ok2 || !ok3 {
			return nil, errors.New("read Wine's API sets: the table is damaged")
		}
		if host != "" {
			sets[name] = host
		}
	}
	return sets, nil
}

// apiSetKey is a DLL's name without what the loader leaves out of account.
func apiSetKey(dll string) string {
	dll = strings.TrimSuffix(strings.ToLower(dll), ".dll")
	if !strings.HasPrefix(dll, "api-") && !strings.HasPrefix(dll, "ext-") {
		return ""
	}
	return dll[:strings.LastIndexByte(dll, '-')]
}

// apiSetSection finds the section .apiset.
func apiSetSection(b []byte) ([]byte, error) {
	im := &image{r: bytes.NewReader(b), size: int64(len(b)), path: "apisetschema.dll"}
	if err := im.headers(); err != nil {
		return nil, im.told(err)
	}
	for _, s := range im.sections {
		if strings.TrimRight(string(s.Name[:]), "\x00") == ".apiset" {
			start := min(int64(s.PointerToRawData), im.size)
			return b[start:min(start+int64(s.SizeOfRawData), im.size)], nil
		}
	}
	return nil, errors.New("apisetschema.dll has no section .apiset")
}
