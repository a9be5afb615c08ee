package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"muster/internal/config"
	"muster/internal/ui/human"
)

// helpWidth is how wide help is written: terminals of 80 cells are common still.
const helpWidth = 79

// tidyHelp breaks the lines of all commands' help at the same width.
func tidyHelp(cmd *cobra.Command) {
	cmd.SetUsageTemplate(strings.ReplaceAll(cmd.UsageTemplate(), ".FlagUsages |", ".FlagUsagesWrapped 79 |"))
	var tidy func(*cobra.Command)
	tidy = func(c *cobra.Command) {
		paragraphs := strings.Split(c.Long, "\n\n")
		for i, p := range paragraphs {
			paragraphs[i] = strings.Join(human.Wrap(strings.Join(strings.Fields(p), " "), helpWidth), "\n")
		}
		c.Long = strings.Join(paragraphs, "\n\n")
		for _, below := range c.Commands() {
			tidy(below)
		}
	}
	tidy(cmd)
}

// textValue is a flag's text, with the word that stands for it in the help.
type textValue struct {
	text *string
	word string
}

func (v textValue) String() string {
	if v.text == nil { // pflag asks a zero value for its default
		return ""
	}
	return *v.text
}
func (v textValue) Set(s string) error { *v.text = s; return nil }
func (v textValue) Type() string       { return v.word }

// text adds a flag with a text; word stands for the text in the help.
func text(f *pflag.FlagSet, p *string, name, word, value, help string) {
	*p = value
	f.VarP(textValue{p, word}, name, shorthands[name], help)
}

// shorthands are the letters of flags that have one.
var shorthands = map[string]string{"lanes": "j"}

// kindWords stand for the texts of settings.
var kindWords = map[config.Kind]string{
	config.Text: "TEXT", config.Word: "WORD", config.Folder: "DIR", config.Count: "N",
	config.Duration: "TIME", config.Memory: "SIZE", config.FailOn: "N|N%",
}

// setting adds a flag for a setting; its text is checked with the settings.
func setting(flags *pflag.FlagSet, name string) {
	k, ok := config.Lookup(name)
	if !ok {
		panic("no setting " + name) // a slip in this package's own tables
	}
	help := k.Help
	if len(k.Words) > 0 {
		help += " (" + strings.Join(k.Words, ", ") + ")"
	}
	if k.Kind == config.Switch {
		flags.Bool(name, false, help)
		return
	}
	switch k.Default {
	case "", "0", "auto":
	default:
		if !strings.HasPrefix(k.Default, "$") {
			help += "; default " + k.Default
		}
	}
	text(flags, new(string), name, kindWords[k.Kind], "", help)
}
