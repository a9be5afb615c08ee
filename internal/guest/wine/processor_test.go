package wine

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestProcessorValues(t *testing.T) {
	for name, c := range map[string]struct {
		cpu  answers
		want string
	}{
		"nothing is known":   {answers{}, "8"},
		"a Xeon":             {answers{"0": intel, "1": {0x000806F8}}, "8 | Intel64 Family 6 Model 143 Stepping 8, GenuineIntel | 6 | 8f08"},
		"a Core 2":           {answers{"0": intel, "1": {0x000006FB}}, "8 | Intel64 Family 6 Model 15 Stepping 11, GenuineIntel | 6 | 0f0b"},
		"a Pentium 4":        {answers{"0": intel, "1": {0x00000F43}}, "8 | Intel64 Family 15 Model 4 Stepping 3, GenuineIntel | 6 | 0403"},
		"an EPYC":            {answers{"0": amd, "1": {0x00A20F12}}, "8 | AMD64 Family 25 Model 33 Stepping 2, AuthenticAMD | 25 | 2102"},
		"an Athlon 64":       {answers{"0": amd, "1": {0x00040F12}}, "8 | AMD64 Family 15 Model 65 Stepping 2, AuthenticAMD | 15 | 4102"},
		"of another maker's": {answers{"0": {0xD, 0x746E6543, 0x736C7561, 0x48727561}, "1": {0x000006FD}}, "8 | Intel64 Family 6 Model 15 Stepping 13, CentaurHauls | 6 | 0f0d"},
	} {
		var have []string
		for _, v := range processorValues(machine{cpuid: once(c.cpu.cpuid), processors: 8}) {
			if v.key != environmentKey {
				t.Errorf("%s: %s is in %s", name, v.name, v.key)
			}
			have = append(have, v.data)
		}
		if got := strings.Join(have, " | "); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// A clone of an image that was built elsewhere tells of this machine: the last of several values counts.
func TestCloneOfAnImageFromElsewhere(t *testing.T) {
	const elsewhere = `WINE REGISTRY Version 2

[System\\CurrentControlSet\\Control\\ComputerName\\ComputerName] 1
"ComputerName"="BUILDER"

[System\\CurrentControlSet\\Control\\Session Manager\\Environment] 1
"NUMBER_OF_PROCESSORS"="4096"
"OS"="Windows_NT"
"PROCESSOR_IDENTIFIER"="another machine's"
`
	tree, to := t.TempDir(), filepath.Join(t.TempDir(), systemRegistry)
	if err := os.WriteFile(filepath.Join(tree, leanRegistryName), []byte(elsewhere), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := cloneLeanRegistry(tree, to); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(to)
	if err != nil {
		t.Fatal(err)
	}
	m, err := thisMachine()
	if err != nil {
		t.Fatal(err)
	}
	if m.processors < 1 || m.processors == 4096 {
		t.Fatalf("this machine has %d processors", m.processors)
	}
	have := lastValues(string(b))
	for _, want := range slices.Concat(computerNames(hostName()), processorValues(m), []value{{environmentKey, "OS", "Windows_NT"}}) {
		if got := have[want.key+" "+want.name]; got != want.data {
			t.Errorf("%s is %q, want %q", want.name, got, want.data)
		}
	}
}

// lastValues is what the server takes from a registry file without anything unusual in it: "KEY NAME" → data.
func lastValues(text string) map[string]string {
	out, key := map[string]string{}, ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			key, _, _ = strings.Cut(line[1:], "]")
		} else if name, data, ok := strings.Cut(line, `"="`); ok {
			out[key+" "+name[1:]] = strings.TrimSuffix(data, `"`)
		}
	}
	return out
}
