package wine

import (
	"fmt"
	"os"
	"slices"
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
	for _, v := range set {
		// The server merges what stands in several places under one key.
		out += fmt.Sprintf("\n[%s]\n%q=%q\n", v.key, v.name, v.data)
	}
	if err := os.WriteFile(path, []byte(out), 0o600); err != nil {
		return fmt.Errorf("writing the image's registry: %w", err)
	}
	return nil
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
