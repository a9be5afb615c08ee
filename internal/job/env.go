package job

import (
	"slices"
	"strings"
)

// envPrefix hides a program's variable from the processes on the way to it: an
// agent must not be loaded with the user's LD_PRELOAD, but the program may.
const envPrefix = "MUSTERENV_"

// PackEnv renames a program's variables so that they can travel in the
// environment of schedulers' scripts and agents without meaning anything there.
func PackEnv(program []string) []string {
	out := make([]string, len(program))
	for i, kv := range program {
		out[i] = envPrefix + kv
	}
	return out
}

// UnpackEnv returns the program's variables out of an environment that holds
// packed ones, and those that remain.
func UnpackEnv(environ []string) (program, rest []string) {
	for _, kv := range environ {
		if v, ok := strings.CutPrefix(kv, envPrefix); ok {
			program = append(program, v)
		} else {
			rest = append(rest, kv)
		}
	}
	return program, rest
}

// schedulerNames are the variables of schedulers beyond those with their prefixes:
// what Grid Engine calls its own (qsub(1)), and by which either says which GPUs are the job's.
var schedulerNames = []string{
	"SLURMD_NODENAME", "JOB_ID", "JOB_NAME", "NSLOTS", "NHOSTS", "NQUEUES", "PE", "PE_HOSTFILE", "QUEUE", "RESTARTED",
	"CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL", "ZE_AFFINITY_MASK",
}

// SchedulerEnv picks out of an element's environment what the scheduler says of the
// element (see also ArrayEnv): programs look for it.
func SchedulerEnv(environ []string) []string {
	var out []string
	for _, kv := range environ {
		name, _, _ := strings.Cut(kv, "=")
		if strings.HasPrefix(name, "SLURM_") || strings.HasPrefix(name, "SGE_") || slices.Contains(schedulerNames, name) {
			out = append(out, kv)
		}
	}
	return out
}
