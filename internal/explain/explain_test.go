package explain_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"

	"muster/internal/explain"
	"muster/internal/goldentest"
	"muster/internal/ui/human"
)

// constants are the values of all constants of a type that package job declares.
func constants(t *testing.T, typeName string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../job/job.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	for _, decl := range file.Decls {
		gen, ok := decl.(*ast.GenDecl)
		if !ok || gen.Tok != token.CONST {
			continue
		}
		for _, spec := range gen.Specs {
			spec := spec.(*ast.ValueSpec)
			if id, ok := spec.Type.(*ast.Ident); !ok || id.Name != typeName {
				continue
			}
			for _, v := range spec.Values {
				text, err := strconv.Unquote(v.(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				values = append(values, text)
			}
		}
	}
	if len(values) < 10 {
		t.Fatalf("only %d constants of type %s found: %q", len(values), typeName, values)
	}
	return values
}

func TestEveryCauseAndStateIsExplained(t *testing.T) {
	for typeName, kind := range map[string]explain.Kind{"Cause": explain.Cause, "State": explain.State} {
		known := map[string]bool{}
		for _, code := range constants(t, typeName) {
			known[code] = true
			if !hasTopic(code, kind) {
				t.Errorf("%s %q has no topic", typeName, code)
			}
		}
		for _, topic := range explain.Topics() {
			if topic.Kind == kind && !known[topic.Code] {
				t.Errorf("%s %q is explained, and does not exist", typeName, topic.Code)
			}
		}
	}
}

func hasTopic(code string, kind explain.Kind) bool {
	for _, t := range explain.Topics() {
		if t.Code == code && t.Kind == kind {
			return true
		}
	}
	return false
}

// The commands that muster has; a topic must not send people to another one.
var commands = strings.Fields("map launch image check exec ps status logs wait cancel hold release suspend continue resume rm report node config explain --version COMMAND")

func TestTopicsAreWellMade(t *testing.T) {
	seen := map[string]bool{}
	for _, topic := range explain.Topics() {
		if seen[topic.Code] {
			t.Errorf("%s is explained twice", topic.Code)
		}
		seen[topic.Code] = true
		sentences := append([]string{topic.Meaning}, topic.Usually...)
		for _, a := range append(topic.Look, topic.Do...) {
			sentences = append(sentences, a.Text)
			if words := strings.Fields(a.Command); len(words) > 1 && words[0] == "muster" && !slices.Contains(commands, words[1]) {
				t.Errorf("%s: there is no command %q", topic.Code, a.Command)
			}
		}
		for _, s := range sentences {
			if s == "" || strings.TrimSpace(s) != s || !strings.ContainsAny(s[len(s)-1:], ".:") {
				t.Errorf("%s: not a sentence: %q", topic.Code, s)
			}
		}
		if len(topic.Look)+len(topic.Do)+len(topic.See) == 0 && topic.Code != "0" {
			t.Errorf("%s leaves its reader alone", topic.Code)
		}
		for _, code := range topic.See {
			if got, ok := explain.Explain(code); !ok || got.Code == topic.Code {
				t.Errorf("%s points to %q", topic.Code, code)
			}
		}
		for _, line := range topic.Lines(80) {
			if human.Width(line) > 80 && !strings.HasPrefix(line, "  sudo ") || strings.TrimRight(line, " ") != line {
				t.Errorf("%s: line %q", topic.Code, line)
			}
		}
	}
}

func TestExplain(t *testing.T) {
	for in, want := range map[string]string{
		"missing-dll": "missing-dll", "[missing-dll]": "missing-dll", " Missing-DLL ": "missing-dll",
		"out_of_memory": "OUT_OF_MEMORY", "out-of-memory": "out-of-memory", "130": "130",
		"BOOT_FAIL": "BOOT_FAIL", "Timeout": "timeout",
		"timeout": "timeout", "TIMEOUT": "TIMEOUT", "cancelled": "cancelled", "CANCELLED": "CANCELLED",
	} {
		if topic, ok := explain.Explain(in); !ok || topic.Code != want {
			t.Errorf("Explain(%q) = %q, %v; want %q", in, topic.Code, ok, want)
		}
	}
	if _, ok := explain.Explain("xyzzy"); ok {
		t.Error("xyzzy is explained")
	}
	for in, want := range map[string]string{"mising-dll": "missing-dll", "noouput": "no-output", "qqqqqq": ""} {
		if got := explain.Nearest(in); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", in, got, want)
		}
	}
	if len(explain.Codes()) != len(explain.Topics()) {
		t.Error("Codes and Topics differ in number")
	}
}

func TestGolden(t *testing.T) {
	topic, _ := explain.Explain("missing-dll")
	got := strings.Join(topic.Lines(72), "\n") + "\n"
	goldentest.Check(t, "missing-dll.txt", got)
}

func TestReasonsOfSchedulers(t *testing.T) {
	for reason, want := range map[string]string{
		"Priority":    "Priority",
		"(Resources)": "Resources",
		"ReqNodeNotAvail, UnavailableNodes:n[3-4]":                                                    "ReqNodeNotAvail",
		"Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions": "ReqNodeNotAvail",
		"QOSMaxCpuPerUserLimit":       "QOSLimit",
		"QOSGrpNodeLimit":             "QOSLimit",
		"AssocGrpCPUMinutesLimit":     "AssocLimit",
		"JobHeldUser":                 "JobHeldUser",
		"launch failed requeued held": "launch-failed",
	} {
		if topic, ok := explain.Why(reason); !ok || topic.Code != want {
			t.Errorf("%q is explained as %q, want %q", reason, topic.Code, want)
		}
		if topic, ok := explain.Explain(reason); !ok || topic.Code != want {
			t.Errorf("muster explain %q tells of %q, want %q", reason, topic.Code, want)
		}
	}
	for _, reason := range []string{"", "timeout", "Weather"} {
		if topic, ok := explain.Why(reason); ok {
			t.Errorf("%q is explained as %q", reason, topic.Code)
		}
	}
}
