package job

import (
	"errors"
	"strings"
)

// SplitWords splits a line into words by the shell's quoting rules (POSIX):
// blanks and newlines separate, '…' takes everything as it is, "…" everything but
// \" \\ \$ \` and \newline, and a backslash elsewhere takes the next character
// as it is. Nothing is expanded, and no character begins a comment.
func SplitWords(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	inWord := false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; c {
		case ' ', '\t', '\n':
			if inWord {
				words = append(words, word.String())
				word.Reset()
				inWord = false
			}
		case '\'':
			end := strings.IndexByte(line[i+1:], '\'')
			if end < 0 {
				return nil, errors.New("a ' is not closed")
			}
			word.WriteString(line[i+1 : i+1+end])
			inWord = true
			i += end + 1
		case '"':
			end, ok := doubleQuoted(line, i+1, &word)
			if !ok {
				return nil, errors.New(`a " is not closed`)
			}
			inWord = true
			i = end
		case '\\':
			if i++; i == len(line) {
				return nil, errors.New(`a \ stands at the end`)
			}
			if line[i] != '\n' { // a backslash before a newline joins lines
				word.WriteByte(line[i])
				inWord = true
			}
		default:
			word.WriteByte(c)
			inWord = true
		}
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}

// doubleQuoted reads from behind a double quote up to the closing one, and
// returns where that is.
func doubleQuoted(line string, from int, word *strings.Builder) (end int, ok bool) {
	for i := from; i < len(line); i++ {
		switch c := line[i]; {
		case c == '"':
			return i, true
		case c == '\\' && i+1 < len(line) && strings.IndexByte("\"\\$`\n", line[i+1]) >= 0:
			if i++; line[i] != '\n' {
				word.WriteByte(line[i])
			}
		default:
			word.WriteByte(c)
		}
	}
	return 0, false
}

// QuoteWord writes a word so that a POSIX shell, and SplitWords, read it back:
// as it is when all its characters are harmless, otherwise in single quotes.
func QuoteWord(word string) string {
	if word != "" && strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=:,./@%") == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// QuoteWords writes a command line for a person to read and paste: each word
// by QuoteWord, one blank between.
func QuoteWords(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = QuoteWord(w)
	}
	return strings.Join(quoted, " ")
}
