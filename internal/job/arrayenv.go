package job

import "strconv"

// ArrayEnv returns the variables, NAME=VALUE, by which Slurm and Grid Engine
// tell element (from 1) of an array of so many elements what it is. id is the
// array's number. The local engine sets them, so that programs written for a
// cluster find what they look for.
func ArrayEnv(id string, element, elements int) []string {
	e, n := strconv.Itoa(element), strconv.Itoa(elements)
	return []string{
		"SLURM_JOB_ID=" + id,
		"SLURM_ARRAY_JOB_ID=" + id,
		"SLURM_ARRAY_TASK_ID=" + e,
		"SLURM_ARRAY_TASK_COUNT=" + n,
		"SLURM_ARRAY_TASK_MIN=1",
		"SLURM_ARRAY_TASK_MAX=" + n,
		"SLURM_ARRAY_TASK_STEP=1",
		"JOB_ID=" + id,
		"SGE_TASK_ID=" + e,
		"SGE_TASK_FIRST=1",
		"SGE_TASK_LAST=" + n,
		"SGE_TASK_STEPSIZE=1",
	}
}
