package explain

import "muster/internal/job"

// Advice that many topics share.
var (
	logs   = Advice{"muster logs RUN_TASK", "What the program wrote before it ended."}
	report = Advice{"muster report RUN", "All failures of the run, grouped by cause, and what each phase took."}
	again  = Advice{"muster resume RUN --failed", "Runs the failed tasks again, and only these. Completed tasks are never run twice."}
	resume = Advice{"muster resume RUN", "Runs what was lost, cancelled or never started. Completed tasks are never run twice."}
	check  = Advice{"muster check PROGRAM.EXE", "Says of a Windows program, without running it, whether it fits, and which DLLs it needs and finds."}
	here   = Advice{"muster node", "What this machine has: CPUs, memory, limits, free space."}
)

// causes has a topic for each job.Cause; a test holds this.
var causes = []Topic{
	{
		Code: string(job.CauseExit), Kind: Cause,
		Meaning: "The program ran, and ended by itself with an exit code other than 0, by which programs say that they failed.",
		Usually: []string{
			"The program did not like its input or its arguments.",
			"It looked for a file, a licence or a setting that is not there on the node.",
			"It uses exit codes for something else than failure: then wrap it in a script that ends with 0.",
		},
		Look: []Advice{logs, report},
		Do: []Advice{
			{"muster map … --dry-run", "Shows one sample command as it would be run; try it by hand on the input that failed."},
			again,
		},
		See: []string{"signal", "crash", "FAILED"},
	},
	{
		Code: string(job.CauseSignal), Kind: Cause,
		Meaning: "A signal ended the program: it crashed (SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL), or somebody or something killed it (SIGKILL, SIGTERM).",
		Usually: []string{
			"A mistake in the program that this input brings out.",
			"SIGKILL that muster did not send: the kernel or the scheduler was short of memory.",
			"SIGXCPU or SIGXFSZ: a limit on CPU time or on the size of files (ulimit -t, ulimit -f).",
			"SIGILL: the program was built for a newer CPU than this node has.",
		},
		Look: []Advice{logs, {"muster status RUN_TASK", "The signal, and how much memory and time the task had used."}},
		Do:   []Advice{again},
		See:  []string{"out-of-memory", "crash", "exit-code"},
	},
	{
		Code: string(job.CauseNoOutput), Kind: Cause,
		Meaning: "The program ended with exit code 0, but the output that the task was to write is not there, so the task counts as failed.",
		Usually: []string{
			"The program wrote somewhere else: to a fixed name in its work folder, or beside its input.",
			"It writes its result to standard output.",
			"It ended with 0 although it failed.",
		},
		Look: []Advice{logs, {"muster map … --dry-run", "The sample command shows under which name the output is expected."}},
		Do: []Advice{
			{"muster map … -- PROGRAM {in} {out}", "Tells the program the name of the output, in the place and form that it wants."},
			{"muster map … --collect '*.dat'", "Takes what the program leaves in its work folder."},
			{"muster map … --stdout", "Takes what the program writes to standard output."},
		},
	},
	{
		Code: string(job.CauseOutputExists), Kind: Cause,
		Meaning: "Something of the output's name is there already, and muster overwrites nothing that it was not told to replace.",
		Usually: []string{
			"An earlier run wrote into the same output folder.",
			"Something else wrote a file of that name while the run was going on.",
		},
		Look: []Advice{{"muster status RUN", "Says which outputs are concerned; a file of this name that a completed attempt wrote is no trouble."}},
		Do: []Advice{
			{"muster map … --existing skip", "Keeps the outputs that are there, and runs only the tasks without one."},
			{"muster map … --existing replace", "Moves old outputs aside before the run starts."},
			{"muster map … --output NEW", "Writes into another folder."},
		},
	},
	{
		Code: string(job.CausePublish), Kind: Cause,
		Meaning: "The program had succeeded, but its output could not be put under its name in the output folder.",
		Usually: []string{
			"The disk or your quota is full.",
			"The output folder was removed, or its rights were changed, during the run.",
			"The file server did not answer, or knows no links.",
		},
		Look: []Advice{{"muster status RUN_TASK", "The system's own words stand under the cause."}, {"df -h OUTPUT; quota -s", "Free space, and your quota."}},
		Do:   []Advice{{"", "Make room, or give the folder its rights back. Then:"}, again},
		See:  []string{"no-space"},
	},
	{
		Code: string(job.CauseTimeout), Kind: Cause,
		Meaning: "The task ran longer than --timeout allows, and was ended with everything that it had started.",
		Usually: []string{
			"The limit is too short for the larger inputs.",
			"The program waits for something that never comes: an answer on its input, a licence, a lock.",
			"More lanes than CPUs: each program runs slower than by itself.",
		},
		Look: []Advice{logs, {"muster report RUN", "Median, 95th percentile and longest run of the tasks that did end."}},
		Do: []Advice{
			{"muster map … --timeout 2h", "Allows more. A bare number is minutes; 90s and 1h30m can be written too."},
			{"muster map … --lanes N", "Runs fewer programs at once."},
			again,
		},
		See: []string{"TIMEOUT"},
	},
	{
		Code: string(job.CauseCancelled), Kind: Cause,
		Meaning: "The task was cancelled: by `muster cancel`, by Ctrl-C pressed twice, or by the scheduler at somebody's request.",
		Look:    []Advice{{"muster status RUN", "What was completed before."}},
		Do:      []Advice{resume},
		See:     []string{"CANCELLED"},
	},
	{
		Code: string(job.CauseStart), Kind: Cause,
		Meaning: "The program could not be started at all.",
		Usually: []string{
			"It is not executable, or its first line (#!) names an interpreter that the node does not have.",
			"It lies in a folder that the node does not see.",
			"A limit on processes or on open files was reached (ulimit -u, ulimit -n).",
			"Its arguments and environment are too long together.",
		},
		Look: []Advice{{"muster status RUN_TASK", "The system's own words stand under the cause."}, here},
		Do: []Advice{
			{"chmod +x PROGRAM", "Where it is not executable."},
			{"muster map … --program-dir DIR", "Brings the program with its folder to the node."},
			again,
		},
		See: []string{"cannot-load", "process-limit"},
	},
	{
		Code: string(job.CauseBoot), Kind: Cause,
		Meaning: "The instance (a Windows environment, a virtual machine) that the task was to run in did not come up.",
		Usually: []string{
			"The node is overloaded, or short of memory or processes.",
			"The image does not fit the installed Wine any more, or is damaged.",
			"The scratch folder is full, or programs cannot be started there.",
		},
		Look: []Advice{{"muster logs RUN", "What the instance said while it was starting."}, here, {"muster image ls", "Whether the image is whole."}},
		Do: []Advice{
			{"muster map … --lanes N", "Boots fewer at once."},
			{"muster map … --isolation node", "Needs the fewest instances."},
			again,
		},
		See: []string{"BOOT_FAIL", "instance-died", "image-damaged"},
	},
	{
		Code: string(job.CauseInstance), Kind: Cause,
		Meaning: "The instance ended under the running program: its Wine server or its virtual machine was gone before the program was.",
		Usually: []string{
			"The Wine server was killed, by hand or for lack of memory.",
			"A program that shares the instance shut Windows down.",
			"The server had no descriptors left: it needs about five for each program.",
		},
		Look: []Advice{logs, report, here},
		Do: []Advice{
			{"muster map … --isolation task", "Gives each task an instance of its own, so that no task can take others with it."},
			{"muster map … --retries 2", "Tries again by itself, in a new instance."},
			again,
		},
		See: []string{"boot", "out-of-memory"},
	},
	{
		Code: string(job.CauseCrash), Kind: Cause,
		Meaning: "The Windows program crashed: an exception that it did not handle ended it, such as an access violation (0xC0000005) or a stack overflow (0xC00000FD).",
		Usually: []string{
			"A mistake in the program that this input brings out.",
			"The program needs services or COM, and was started in a lean instance.",
			"It needs something of Windows that Wine does not have.",
		},
		Look: []Advice{logs, check},
		Do: []Advice{
			{"muster map … --boot full", "Starts all of Windows' services first."},
			{"", "Try the same input on a Windows machine: if it crashes there too, the program is to blame."},
			again,
		},
		See: []string{"exit-code", "missing-dll"},
	},
	{
		Code: string(job.CauseMissingDLL), Kind: Cause,
		Meaning: "A DLL that the Windows program needs was not found, neither beside the program nor in the image.",
		Usually: []string{
			"The program was copied without the DLLs that belong to it.",
			"It needs a runtime that its installer would have installed (Visual C++, .NET).",
			"It was built for a newer Windows than this Wine is: programs built with current Go, for instance, need bcryptprimitives.dll.",
			"The DLL is there, but is of the other kind: a 64-bit program takes no 32-bit DLL.",
		},
		Look: []Advice{check},
		Do: []Advice{
			{"muster map … --program-dir DIR", "Brings along the folder that the DLLs lie in."},
			{"muster image build wine --name NAME --add DIR", "Puts the DLLs into an image; take it with --image NAME."},
			{"muster image build wine --name NAME --run SETUP.EXE", "Runs the installer of the runtime in a new image."},
		},
		See: []string{"cannot-load"},
	},
	{
		Code: string(job.CauseCannotLoad), Kind: Cause,
		Meaning: "The program's file could not be loaded by the guest: it is damaged, or made for another kind of machine.",
		Usually: []string{
			"A 32-bit Windows program, and only 64-bit Wine is installed.",
			"A program for ARM.",
			"The file was cut off while it was copied.",
		},
		Look: []Advice{check, {"sha256sum PROGRAM", "Compare it with the original."}},
		Do:   []Advice{{"", "Take the 64-bit build of the program, or have wine32 installed (see 32-bit)."}},
		See:  []string{"32-bit", "wrong-machine", "missing-dll"},
	},
	{
		Code: string(job.CauseOOM), Kind: Cause,
		Meaning: "The program was killed because memory ran out: that of the node, or what the task or the scheduler's job was allowed.",
		Usually: []string{
			"Too many lanes for the memory of the node.",
			"--mem is smaller than what the largest inputs need.",
		},
		Look: []Advice{{"muster report RUN", "Peak memory of the tasks, against what was asked for."}, here},
		Do: []Advice{
			{"muster map … --mem 4G", "Says what a task needs; so many fewer run at once, and a scheduler is asked for as much."},
			{"muster map … --lanes N", "Runs fewer at once."},
			again,
		},
		See: []string{"OUT_OF_MEMORY", "signal"},
	},
	{
		Code: string(job.CauseInput), Kind: Cause,
		Meaning: "The input was there when the run was planned, and was gone when its turn came.",
		Usually: []string{
			"It was moved or deleted meanwhile.",
			"The node does not see the folder, or its file server did not answer.",
		},
		Look: []Advice{{"muster status RUN_TASK", "The path that was looked for."}},
		Do:   []Advice{{"", "Put the input back. Then:"}, again},
	},
	{
		Code: string(job.CauseAgentLost), Kind: Cause,
		Meaning: "muster's agent on the node ended while the task was running, and everything that it had started ended with it. This says nothing about the task.",
		Usually: []string{
			"The node was rebooted or crashed, or the scheduler took the job away.",
			"The agent was killed: by hand, or for lack of memory.",
		},
		Look: []Advice{{"muster status RUN", "Which node, and when it was heard of last."}},
		Do:   []Advice{resume},
		See:  []string{"LOST", "NODE_FAIL"},
	},
	{
		Code: string(job.CauseNotReady), Kind: Cause,
		Meaning: "A program of a launch was started, and did not come alive within --ready-timeout; or it ended with code 0 before the sign that --ready waits for.",
		Usually: []string{
			"It is still busy with getting ready: the time is too short for it, or for so many at once.",
			"It writes the line or the file that --ready names in another form, under another name, or not to its work folder.",
			"It keeps its output back until it has written more of it, as many programs do when they write to a file.",
		},
		Look: []Advice{logs, {"muster status RUN_TASK", "How long it was waited for."}},
		Do: []Advice{
			{"muster launch … --ready-timeout 15m", "Waits longer."},
			{"muster launch … --ready exec", "Counts a program as alive when its own image runs."},
			{"muster launch … --in-flight 4", "Starts fewer at a time, so that each is ready sooner."},
		},
		See: []string{"timeout", "cannot-start"},
	},
	{
		Code: string(job.CauseMaxFails), Kind: Cause,
		Meaning: "The task was not started, because as many tasks as --max-fails allows had failed before.",
		Look:    []Advice{report},
		Do:      []Advice{{"", "Remove the cause of the failures first. Then:"}, resume, again},
	},
	{
		Code: string(job.CauseBatch), Kind: Cause,
		Meaning: "The program was called once for a list of inputs (--apptype mimo), and that call failed as a whole, so none of its outputs were taken.",
		Usually: []string{"One input of the list made the program fail."},
		Look:    []Advice{logs},
		Do: []Advice{
			{"muster map … --apptype siso", "Calls the program for each input by itself, so that only the bad one fails."},
			{"muster map … --ndata 10", "Makes the lists shorter."},
			again,
		},
		See: []string{"exit-code"},
	},
	{
		Code: string(job.CauseGivenBack), Kind: Cause,
		Meaning: "The time that the scheduler gave was nearly over, so the task was ended in good order and given back. This says nothing about the task, and does not count as an attempt against --retries.",
		Usually: []string{
			"There was more work than time: ask for more of it (--time), or for more nodes.",
			"A task takes longer than all the time that was asked for: then it never ends, however often it is begun.",
		},
		Look: []Advice{{"muster report RUN", "What each task took, and how many are left."}},
		Do: []Advice{
			resume,
			{"muster map … --requeue", "Goes on in a new allocation by itself."},
			{"muster map … --time-request 10m", "Says what a task takes, so that none is started that could not end in time."},
		},
		See: []string{"LOST", "TIMEOUT"},
	},
	{
		Code: string(job.CauseSuperseded), Kind: Cause,
		Meaning: "The scheduler took the node for lost and started the same piece of work again elsewhere, while the first agent was still alive. That one has noticed, and ended what it was at: its successor does it again. No task has two results.",
		Usually: []string{
			"The scheduler's daemon on the node was killed or did not answer, and what it had started went on.",
			"The node was cut off from the network for a while.",
		},
		Look: []Advice{{"muster status RUN_TASK", "Both attempts, and on which nodes they were made."}},
		Do:   []Advice{resume},
		See:  []string{"agent-lost", "LOST"},
	},
	{
		Code: string(job.CauseInternal), Kind: Cause,
		Meaning: "muster itself failed. The program is not to blame.",
		Look:    []Advice{{"muster logs RUN", "The agent's own words."}, here},
		Do:      []Advice{again, {"", "If it happens again, report it, with the output of the commands above and of `muster --version`."}},
	},
}
