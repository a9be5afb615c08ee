package plan

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode"
	"unicode/utf8"

	"muster/internal/job"
)

// Sample is the command that one task, or one call, becomes, for Print.
type Sample struct {
	Task   int      // its index
	Argv   []string // the program and its arguments
	Params []Param  // what else there is to know: input, output, standard input …
}

// Param is a line of a Sample.
type Param struct{ Name, Value string }

const (
	shownNodes = 8  // nodes that Print lists one by one
	shownSet   = 48 // bytes of a node's index set
)

// Print writes the plan as readable text, for --dry-run: counts, nodes, lanes,
// the shares and their sizes, notes, and the sample command as one could paste it.
func (p *Plan) Print(w io.Writer, s Sample) error {
	b := bufio.NewWriter(w)
	if p.Launch != nil {
		p.printLaunch(b)
	} else {
		p.printMap(b)
	}
	p.printNodes(b)
	if len(s.Argv) > 0 {
		title := fmt.Sprintf("Input %d becomes", s.Task)
		switch {
		case p.Launch != nil:
			title = "The first program is"
		case p.AppType == job.MIMO:
			title = "The first call is"
		}
		printSample(b, title, s)
	}
	return b.Flush() // holds the first error of all the writes above
}

// printMap writes what Print writes above the nodes.
func (p *Plan) printMap(w io.Writer) {
	fmt.Fprintln(w, p.headline())
	fmt.Fprintln(w, "  program    "+p.calling())
	fmt.Fprintln(w, "  processes  "+p.sharing())
	if p.Pool != nil {
		fmt.Fprintln(w, "  chunks     "+p.Pool.sizes())
	}
	for _, n := range p.Notes {
		fmt.Fprintln(w, "  note       "+n)
	}
}

// headline counts inputs, nodes and lanes.
func (p *Plan) headline() string {
	lanes := 0
	for _, e := range p.Elements {
		lanes += e.Lanes
	}
	left := count(p.Left, "input", "inputs")
	if p.Left != p.Tasks {
		left = fmt.Sprintf("%d of %s", p.Left, count(p.Tasks, "input", "inputs"))
	}
	atOnce := "one at a time"
	if lanes > 1 {
		atOnce = fmt.Sprintf("at most %d at once", lanes)
	}
	return fmt.Sprintf("Plan: %s on %s, %s.", left, count(len(p.Elements), "node", "nodes"), atOnce)
}

func (p *Plan) calling() string {
	if p.AppType == job.MIMO {
		return "called once for each process, with a list of its inputs and outputs (mimo)"
	}
	return "called once for each input (siso)"
}

// sharing says how many processes there are, why, and what each gets.
func (p *Plan) sharing() string {
	threads := ""
	if t := p.threads(); t > 0 {
		threads = ", " + count(t, "thread", "threads") + " each"
	}
	asked := ""
	switch {
	case p.NP.String() != "":
		asked = fmt.Sprintf(" (--np=%v)", p.NP)
	case p.NData > 0:
		asked = fmt.Sprintf(" (--ndata=%d)", p.NData)
	case p.AppType == job.SISO && p.Pool != nil:
		return "one for each input, dynamic" + threads
	case p.AppType == job.SISO:
		return "one for each input" + threads
	}
	small, large := p.Tasks/p.Processes, p.Tasks/p.Processes
	if p.Tasks%p.Processes > 0 {
		large++
	}
	each := fmt.Sprintf("%s each", count(small, "input", "inputs"))
	if small != large {
		each = fmt.Sprintf("%d to %d inputs each", small, large)
	}
	return fmt.Sprintf("%d%s, %s, %s%s", p.Processes, asked, p.Distribution, each, threads)
}

// sizes says how the pool is cut.
func (p *Pool) sizes() string {
	first, last := p.Chunks[0], p.Chunks[len(p.Chunks)-1]
	each := fmt.Sprintf("from %d calls down to %d", first, last)
	if first == last {
		each = count(first, "call", "calls") + " each"
	}
	return fmt.Sprintf("%d, %s; a node takes the next when its lanes run out of work", len(p.Chunks), each)
}

func (p *Plan) threads() int {
	if len(p.Elements) == 0 {
		return 0
	}
	return p.Elements[0].Threads
}

// printNodes writes a line for each node, but not for hundreds of them.
func (p *Plan) printNodes(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', tabwriter.AlignRight)
	switch {
	case p.Launch != nil && p.servers():
		fmt.Fprintln(t, "\n  node\tstarts at a time\tprograms\tservers\tprograms each\t  which")
	case p.Launch != nil:
		fmt.Fprintln(t, "\n  node\tstarts at a time\tprograms\t  which")
	default:
		fmt.Fprintln(t, "\n  node\tlanes\tcalls\tinputs\t  which")
	}
	for i, e := range p.Elements {
		if i == shownNodes && len(p.Elements) > shownNodes+1 {
			break
		}
		if p.Launch != nil {
			fmt.Fprintf(t, "%d\t%d\t%d\t", e.Node, e.Lanes, len(e.Calls))
			if p.servers() {
				fmt.Fprintf(t, "%d\t%s\t", e.Servers, e.crowd())
			}
			fmt.Fprintf(t, "  %s\n", which(e))
			continue
		}
		if p.Pool != nil {
			fmt.Fprintf(t, "%d\t%d\t–\t–\t  chunks as they come\n", e.Node, e.Lanes)
			continue
		}
		fmt.Fprintf(t, "%d\t%d\t%d\t%d\t  %s\n", e.Node, e.Lanes, len(e.Calls), e.Tasks(), which(e))
	}
	t.Flush()
	if rest := len(p.Elements) - shownNodes; rest > 1 {
		fmt.Fprintf(w, "  … and %d more nodes\n", rest)
	}
}

// which lists an element's tasks, the first of them when there are too many to show.
func which(e Element) string {
	var all []int
	for _, c := range e.Calls {
		all = append(all, c...)
	}
	set := job.NewIndexSet(all...).String()
	if len(set) > shownSet {
		set = set[:strings.LastIndexByte(set[:shownSet], ',')] + ",…"
	}
	return set
}

func printSample(w io.Writer, title string, s Sample) {
	words := make([]string, len(s.Argv))
	for i, a := range s.Argv {
		words[i] = pasteable(a)
	}
	fmt.Fprintf(w, "\n%s\n  %s\n", title, strings.Join(words, " "))
	width := 0
	for _, p := range s.Params {
		width = max(width, len(p.Name))
	}
	for _, p := range s.Params {
		value := p.Value
		if !printable(value) {
			value = strconv.Quote(value)
		}
		fmt.Fprintf(w, "    %-*s  %s\n", width, p.Name, value)
	}
}

// pasteable writes a word so that a shell reads it back and a terminal shows it
// on one line: what cannot be shown is written in the form $'\n' of bash and zsh.
func pasteable(word string) string {
	if printable(word) {
		return job.QuoteWord(word)
	}
	var b strings.Builder
	b.WriteString("$'")
	for len(word) > 0 {
		r, size := utf8.DecodeRuneInString(word)
		switch {
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\'' || r == '\\':
			b.WriteString(`\` + word[:1])
		case r == utf8.RuneError && size <= 1, !unicode.IsPrint(r):
			for _, c := range []byte(word[:size]) {
				fmt.Fprintf(&b, `\x%02x`, c)
			}
		default:
			b.WriteRune(r)
		}
		word = word[size:]
	}
	b.WriteString("'")
	return b.String()
}

func printable(s string) bool {
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return utf8.ValidString(s)
}
