package plan

import "strings"

// ListLine returns the line of a MIMO list, without its newline, for one task:
// the words of its input and the output, one blank between, as LLMapReduce
// writes them. A word is put in quotes only when it holds white space or a quote
// or is empty, and then by the shell's rules: 'a b', and 'it'\”s' for it's. All other
// words, Windows paths with their backslashes included, stand as they are; a
// word that holds no quote is to be taken literally.
func ListLine(in []string, out string) string {
	var b strings.Builder
	for _, w := range in {
		b.WriteString(listWord(w))
		b.WriteByte(' ')
	}
	b.WriteString(listWord(out))
	return b.String()
}

func listWord(w string) string {
	if w == "" || strings.ContainsAny(w, " \t\n\v\f\r'\"") {
		return "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
	}
	return w
}
