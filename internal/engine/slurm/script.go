package slurm

import (
	"fmt"
	"strings"

	"muster/internal/engine"
	"muster/internal/job"
)

// script is what a node runs for each element of a piece. scontrol is the path of that command,
// for elements that may ask to be started again.
func script(a job.Array, m mark, scontrol string) string {
	var b strings.Builder
	b.WriteString("#!/bin/sh\n")
	index := `"$SLURM_ARRAY_TASK_ID"`
	if m.first > 1 {
		index = fmt.Sprintf(`"$((SLURM_ARRAY_TASK_ID + %d))"`, m.first-1)
	}
	fmt.Fprintf(&b, "export %s=%s\n", engine.EnvElement, index)
	fmt.Fprintf(&b, "export %s=\"${SLURM_ARRAY_JOB_ID}_$%s\"\n", engine.EnvArray, engine.EnvElement)
	if a.Token != "" {
		fmt.Fprintf(&b, seeing, quote(a.Token), job.ExitUnseen)
	}
	if namesLogs(a, m) {
		fmt.Fprintf(&b, "exec >>%s/\"$%s.log\" 2>&1\n", quote(a.LogDir), engine.EnvElement)
	}
	command := make([]string, len(a.Argv))
	for i, word := range a.Argv {
		command[i] = quote(word)
	}
	line := strings.Join(command, " ")
	if !a.Requeue {
		return b.String() + "exec " + line + "\n"
	}
	return b.String() + fmt.Sprintf(requeueing, line, job.ExitRequeue, quote(scontrol), job.ExitRequeue)
}

// seeing waits a little for a slow file server, and gives up when the node does not
// see the run's folder at all.
//
// Names of variables begin with muster_ here and below, as the element's environment may hold
// any others.
const seeing = `muster_tries=0
until [ -e %s ]; do
	[ $((muster_tries += 1)) -le 5 ] || exit %d
	sleep 1
done
`

// requeueing stays beside the command, passes the warning on, and has the element
// started again when the command asks for it, unless it was told to end. The end by a signal is
// repeated, so that Slurm reports it as one.
const requeueing = `muster_told=
trap 'muster_told=1' TERM
trap 'kill -USR1 "$muster_child"' USR1
%s &
muster_child=$!
while wait "$muster_child"; muster_code=$?; [ "$muster_code" -gt 128 ] && kill -0 "$muster_child" 2>/dev/null; do :; done
if [ "$muster_code" -eq %d ] && [ -z "$muster_told" ]; then
	for muster_try in 1 2 3 4 5 6 7 8 9 10; do
		%s requeue incomplete "$SLURM_JOB_ID" && sleep 60 # until Slurm ends this
		[ -z "$muster_told" ] || exit %d
		sleep 6
	done
fi
trap - TERM USR1
[ "$muster_code" -le 128 ] || kill -"$((muster_code - 128))" $$ 2>/dev/null
exit "$muster_code"
`

// quote writes a word so that a shell reads it back. sbatch refuses scripts with DOS line
// ends, so a word's own \r\n is torn apart.
func quote(word string) string {
	return strings.ReplaceAll(job.QuoteWord(word), "\r\n", "\r''\n")
}
