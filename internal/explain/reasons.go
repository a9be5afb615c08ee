package explain

import (
	"slices"
	"strings"
)

var (
	waitRun = Advice{"muster wait RUN", "Nothing is wrong: it starts when its turn comes."}
	smaller = Advice{"muster map … --nodes 2 --time 1h", "Fewer nodes and less time find a gap sooner: schedulers fill gaps with small jobs."}
	anew    = Advice{"muster cancel RUN", "Then submit it with what there is; it would wait for ever otherwise."}
	nodes   = Advice{"sinfo -Rl; sinfo -N -l", "Which nodes are down or drained, since when and why."}
)

// reasons are why a scheduler lets an array wait: Slurm's words (squeue(1), JOB REASON
// CODES), and what Grid Engine says in many.
var reasons = []Topic{
	{Code: "Priority", Kind: Reason,
		Meaning: "Jobs of a higher priority wait in the same partition, and go first.",
		Look:    []Advice{{"sprio; squeue --start", "What your priority is made of, and when it is expected to start."}},
		Do:      []Advice{waitRun, smaller}},
	{Code: "Resources", Kind: Reason,
		Meaning: "It is the next, and waits until enough nodes, CPUs or memory are free.",
		Look:    []Advice{{"sinfo; squeue --start", "What is free, and when it is expected to start."}},
		Do:      []Advice{waitRun, smaller}},
	{Code: "Dependency", Kind: Reason,
		Meaning: "It waits for the end of another array: a reduce step for its map.",
		Do:      []Advice{waitRun}},
	{Code: "DependencyNeverSatisfied", Kind: Reason,
		Meaning: "It waits for something that can no longer happen. muster asks for no such thing: --options, or the site's own rules, have added it.",
		Look:    []Advice{{"scontrol show job ID", "What it waits for."}},
		Do:      []Advice{anew}},
	{Code: "JobHeldUser", Kind: Reason,
		Meaning: "It was submitted with --hold, or somebody has held it.",
		Do:      []Advice{{"muster release RUN", "Lets it start."}}},
	{Code: "JobHeldAdmin", Kind: Reason,
		Meaning: "An administrator has held it; only one can release it.",
		Do:      []Advice{{"", "Ask the administrators why."}}},
	{Code: "BeginTime", Kind: Reason,
		Meaning: "Its time to begin has not come: --options asked for one, or it was requeued a moment ago.",
		Do:      []Advice{waitRun}},
	{Code: "JobArrayTaskLimit", Kind: Reason,
		Meaning: "As many elements of the array run as the array itself allows at once.",
		Do:      []Advice{waitRun}},
	{Code: "PartitionTimeLimit", Kind: Reason,
		Meaning: "It asks for more time than the partition allows.",
		Look:    []Advice{{"sinfo -o '%P %l'", "The time limit of each partition."}},
		Do:      []Advice{{"muster map … --time 1h --requeue", "Asks for less, and goes on in a new allocation when that is over."}, anew}},
	{Code: "PartitionNodeLimit", Kind: Reason,
		Meaning: "It asks for more nodes than the partition allows.",
		Do:      []Advice{{"muster map … --nodes N", "Takes at most so many."}, anew}},
	{Code: "PartitionDown", Kind: Reason,
		Meaning: "The partition starts nothing just now.",
		Look:    []Advice{{"sinfo", "The state of each partition."}},
		Do:      []Advice{waitRun, {"muster map … --partition NAME", "Takes another one."}},
		See:     []string{"PartitionInactive"}},
	{Code: "PartitionInactive", Kind: Reason,
		Meaning: "The partition is switched off: it takes and starts nothing.",
		Do:      []Advice{{"muster map … --partition NAME", "Takes another one."}, anew}},
	{Code: "ReqNodeNotAvail", Kind: Reason,
		Meaning: "Nodes that it needs are down, drained, or reserved for maintenance or for somebody else.",
		Usually: []string{"A maintenance is coming, and --time is longer than what is left until then."},
		Look:    []Advice{nodes, {"scontrol show reservation", "What is reserved, from when on."}},
		Do:      []Advice{{"muster map … --time 1h", "Asks for little enough to end before the maintenance."}, waitRun}},
	{Code: "NodeDown", Kind: Reason,
		Meaning: "A node that it needs is down.",
		Look:    []Advice{nodes},
		Do:      []Advice{waitRun}},
	{Code: "BadConstraints", Kind: Reason,
		Meaning: "No node has what was asked for.",
		Usually: []string{"--constraint or --cpu-type names a feature that no node of the partition has.", "More CPUs, memory or GPUs on a node than any has."},
		Look:    []Advice{{"sinfo -N -o '%N %P %c %m %f %G'", "CPUs, memory, features and GPUs of each node."}},
		Do:      []Advice{anew}},
	{Code: "Reservation", Kind: Reason,
		Meaning: "It waits for the reservation that it asked for to begin, or to have room.",
		Look:    []Advice{{"scontrol show reservation", "When it begins, and what it holds."}},
		Do:      []Advice{waitRun}},
	{Code: "Licenses", Kind: Reason,
		Meaning: "It waits for a licence that others use.",
		Look:    []Advice{{"scontrol show licenses", "How many there are, and how many are taken."}},
		Do:      []Advice{waitRun}},
	{Code: "InvalidAccount", Kind: Reason,
		Meaning: "The account is not one that you may use here.",
		Look:    []Advice{{"sacctmgr show assoc user=$USER", "The accounts and QOS that you may use."}},
		Do:      []Advice{{"muster map … --account NAME", "Takes another one."}, anew}},
	{Code: "InvalidQOS", Kind: Reason,
		Meaning: "The quality of service is not one that you may use here.",
		Look:    []Advice{{"sacctmgr show assoc user=$USER", "The accounts and QOS that you may use."}},
		Do:      []Advice{{"muster map … --qos NAME", "Takes another one."}, anew}},
	{Code: "QOSLimit", Kind: Reason,
		Meaning: "Your quality of service is at a limit (QOSMaxCpuPerUserLimit, QOSMaxJobsPerUserLimit and their like): what you or your group run already counts.",
		Look:    []Advice{{"sacctmgr show qos; squeue --me", "The limits, and what you run."}},
		Do:      []Advice{waitRun, {"muster map … --nodes N", "Asks for less than the limit, if it is larger by itself."}}},
	{Code: "AssocLimit", Kind: Reason,
		Meaning: "Your account is at a limit (AssocGrpCpuLimit, AssocMaxJobsLimit and their like), maybe its hours are used up.",
		Look:    []Advice{{"sacctmgr show assoc user=$USER; sshare -U", "The limits, and what was used."}},
		Do:      []Advice{waitRun, {"muster map … --account NAME", "Takes another one."}}},
	{Code: "launch-failed", Kind: Reason,
		Meaning: "A node failed to start it, so the scheduler has put it back and holds it.",
		Look:    []Advice{nodes},
		Do:      []Advice{{"muster release RUN", "Tries again."}, anew}},
	{Code: "Cleaning", Kind: Reason,
		Meaning: "It was requeued, and what it has left on its node is still being cleared up.",
		Do:      []Advice{waitRun}},
	{Code: "Eqw", Kind: Reason,
		Meaning: "Grid Engine tried to start it, failed, and will not try again by itself.",
		Look:    []Advice{{"qstat -j ID", "The line that begins with error reason."}},
		Do:      []Advice{{"qmod -cj ID", "Lets it be tried again, when the reason is gone."}, anew}},
	{Code: "hqw", Kind: Reason,
		Meaning: "It is held: by a user, or until another array has ended.",
		Do:      []Advice{{"muster release RUN", "Lets it start, if you have held it."}, waitRun}},
	{Code: "qw", Kind: Reason,
		Meaning: "It waits for slots: all that fit it are taken, or its turn has not come.",
		Look:    []Advice{{"qstat -g c; qstat -j ID", "The queues' free slots, and what the scheduler says."}},
		Do:      []Advice{waitRun, smaller}},
	{Code: "no-suitable-queue", Kind: Reason,
		Meaning: "No queue has what was asked for.",
		Usually: []string{"--partition, --constraint or --cpu-type names what no queue offers you.", "More slots or memory on a node than any has."},
		Look:    []Advice{{"qstat -j ID; qstat -F", "What the scheduler says, and what the queues have."}},
		Do:      []Advice{anew}},
}

// families are beginnings of scheduler's reasons that mean one thing, whatever follows.
var families = []struct{ begin, code string }{
	{"QOS", "QOSLimit"}, {"MaxCpuPer", "QOSLimit"}, {"MaxMem", "QOSLimit"}, {"Assoc", "AssocLimit"},
	{"Reservation", "Reservation"}, {"ReqNodeNotAvail", "ReqNodeNotAvail"}, {"Nodes required", "ReqNodeNotAvail"},
	{"Node_", "NodeDown"}, {"launch failed", "launch-failed"}, {"job requeued in held state", "launch-failed"},
	{"JobHoldMaxRequeue", "launch-failed"}, {"BadConstraints", "BadConstraints"}, {"Prolog", "Cleaning"},
	// As muster's own driver of Grid Engine puts it, and Grid Engine itself.
	{"it is held", "hqw"}, {"it waits for the end of", "Dependency"}, {"it waits for its turn", "qw"},
	{"it is in an error state", "Eqw"}, {"no suitable queue", "no-suitable-queue"},
	{"Eqw", "Eqw"}, {"hqw", "hqw"}, {"qw", "qw"},
}

// Why returns the topic of a scheduler's reason for letting something wait, in its
// own words: "Priority", "ReqNodeNotAvail, UnavailableNodes:n3", "QOSMaxCpuPerUserLimit".
func Why(reason string) (Topic, bool) {
	word, _, _ := strings.Cut(strings.Trim(reason, "() "), ",")
	find := func(code string) (Topic, bool) {
		i := slices.IndexFunc(reasons, func(t Topic) bool { return t.Code == code })
		if i < 0 {
			return Topic{}, false
		}
		return reasons[i], true
	}
	if t, ok := find(word); ok {
		return t, true
	}
	for _, f := range families {
		if strings.HasPrefix(word, f.begin) {
			return find(f.code)
		}
	}
	if strings.Contains(word, " is in an error state") { // job 12 …
		return find("Eqw")
	}
	return Topic{}, false
}
