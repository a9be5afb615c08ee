package wine

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// value is one value in a Wine registry file: `"Graphics"="null"`.
type value struct{ key, name, data string }

// editRegistry changes a registry file of an image while no server uses it: set
// adds or replaces values, drop removes some. Keys are written as in the file:
// `Software\\Wine\\Drivers`.
func editRegistry(path string, set []value, drop []value) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading the image's registry: %w", err)
	}
	out := dropValues(string(b), append(slices.Clone(set), drop...))
	out += registryText(set)
	if err := os.WriteFile(path, []byte(out), 0o600); err != nil {
		return fmt.Errorf("writing the image's registry: %w", err)
	}
	return nil
}

// registryText is values as a registry file has them. The server merges what stands in several places under one key.
func registryText(values []value) string {
	var out strings.Builder
	for _, v := range values {
		fmt.Fprintf(&out, "\n[%s]\n%q=%q\n", v.key, v.name, v.data)
	}
	return out.String()
}

// dropValues removes values, with their continuation lines.
func dropValues(text string, drop []value) string {
	var out strings.Builder
	key, skipping := "", false
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "[") {
			key, _, _ = strings.Cut(line[1:], "]")
		}
		if !skipping {
			skipping = slices.ContainsFunc(drop, func(v value) bool {
				return strings.EqualFold(v.key, key) && strings.HasPrefix(line, `"`+v.name+`"=`)
			})
		}
		if !skipping {
			out.WriteString(line)
		} else if !strings.HasSuffix(strings.TrimRight(line, "\r\n"), `\`) {
			skipping = false // the value's last line
		}
	}
	return out.String()
}

// editDword sets a number in a registry file.
func editDword(path, key, name string, n uint32) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading the image's registry: %w", err)
	}
	out := dropValues(string(b), []value{{key: key, name: name}}) + fmt.Sprintf("\n[%s]\n%q=dword:%08x\n", key, name, n)
	if err := os.WriteFile(path, []byte(out), 0o600); err != nil {
		return fmt.Errorf("writing the image's registry: %w", err)
	}
	return nil
}

// The server reads the whole registry as it starts, and keeps it in memory: a third of what
// starting an instance takes, and most of the server. Four fifths of it are what a program for which lean was
// chosen does not ask for: COM's classes and interfaces, media filters that are such classes, browsers' names of character
// sets, the rules of all time zones in past years, and how one dials from each country of the world. So a
// lean instance's system.reg is without them. The full one stays in the image, for full boots.
const (
	systemRegistry   = "system.reg"
	leanRegistryName = "lean.reg" // beside the prefix
)

// classTrees are keys of whose subkeys lean instances have none, below Software\Classes and, for
// 32-bit programs, Software\Classes\Wow6432Node.
var classTrees = []string{"CLSID", "Interface", "TypeLib", "Media Type", `DirectShow\\MediaObjects`, `MediaFoundation\\Transforms`, `MIME\\Database`}

// dialling is the key of whose subkeys lean instances have none either: a third of what is left of the values.
const dialling = `Software\\Microsoft\\Windows\\CurrentVersion\\Telephony\\Country List\\`

// makeLeanRegistry writes the lean registry of an image.
func makeLeanRegistry(tree string, year int) error {
	b, err := os.ReadFile(filepath.Join(tree, prefixName, systemRegistry))
	if err != nil {
		return fmt.Errorf("reading the image's registry: %w", err)
	}
	if err := os.WriteFile(filepath.Join(tree, leanRegistryName), []byte(leanRegistry(string(b), year)), 0o600); err != nil {
		return fmt.Errorf("writing the image's registry: %w", err)
	}
	return nil
}

// leanRegistry is system.reg as lean instances get it, from the year on.
func leanRegistry(text string, year int) string {
	var out strings.Builder
	dropKey, years, dropValue := false, false, false
	for line := range strings.Lines(text) {
		switch {
		case strings.HasPrefix(line, "["):
			key, _, _ := strings.Cut(line[1:], "]")
			dropKey, years, dropValue = isClass(key) || isDialling(key), strings.HasSuffix(key, `\\Dynamic DST`), false
		case dropValue: // a further line of the value
		case years && strings.HasPrefix(line, `"`):
			name, _, _ := strings.Cut(line[1:], `"`)
			n, err := strconv.Atoi(name)
			dropValue = err == nil && n < year
		}
		if !dropKey && !dropValue {
			out.WriteString(line)
		}
		if dropValue && !strings.HasSuffix(strings.TrimRight(line, "\r\n"), `\`) {
			dropValue = false // that was its last line
		}
	}
	return out.String()
}

// isClass reports whether a key, as it stands in the file, is below one of classTrees.
func isClass(key string) bool {
	rest, ok := cutPrefixFold(key, `Software\\Classes\\`)
	if !ok {
		return false
	}
	if below, ok := cutPrefixFold(rest, `Wow6432Node\\`); ok {
		rest = below
	}
	return slices.ContainsFunc(classTrees, func(name string) bool {
		_, ok := cutPrefixFold(rest, name+`\\`)
		return ok
	})
}

// isDialling reports whether a key is one of the country list's, for 64-bit or 32-bit programs.
func isDialling(key string) bool {
	_, ok := cutPrefixFold(strings.Replace(key, `Wow6432Node\\`, "", 1), dialling)
	return ok
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

// editExpand sets a text in a registry file that refers to variables of the environment ("%NAME%").
func editExpand(path, key, name, text string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading the image's registry: %w", err)
	}
	out := dropValues(string(b), []value{{key: key, name: name}}) + fmt.Sprintf("\n[%s]\n%q=str(2):%q\n", key, name, text)
	if err := os.WriteFile(path, []byte(out), 0o600); err != nil {
		return fmt.Errorf("writing the image's registry: %w", err)
	}
	return nil
}
