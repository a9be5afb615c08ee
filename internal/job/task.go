package job

import (
	"path/filepath"
	"strings"
)

// Name is the base name by which a person knows the task: of its first input
// that is a file or folder, else of its first word. {name} stands for it.
func (t Task) Name() string {
	if len(t.In) == 0 {
		return ""
	}
	for _, in := range t.In {
		if in.File {
			return filepath.Base(in.Word)
		}
	}
	return filepath.Base(t.In[0].Word)
}

// Words returns the words of the task's input as the host knows them.
func (t Task) Words() []string {
	words := make([]string, len(t.In))
	for i, in := range t.In {
		words[i] = in.Word
	}
	return words
}

// SplitName splits a base name into what stands before its last dot and what
// stands behind it. A leading dot is part of the stem.
func SplitName(name string) (stem, ext string) {
	if i := strings.LastIndexByte(name, '.'); i > 0 {
		return name[:i], name[i+1:]
	}
	return name, ""
}

// Name is the base name under which a guest with folders of its own sees the
// input.
func (in Input) Name() string {
	if in.Alias != "" {
		return in.Alias
	}
	return filepath.Base(in.Word)
}

// OutName is the base name under which the program writes the output.
func (t Task) OutName() string {
	if t.OutAlias != "" {
		return t.OutAlias
	}
	return filepath.Base(t.Out)
}
