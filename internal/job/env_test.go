package job

import (
	"slices"
	"testing"
)

func TestEnvTravels(t *testing.T) {
	packed := append(PackEnv([]string{"LD_PRELOAD=x", "A="}), "PATH=/bin", "SLURM_JOB_ID=7", "CUDA_VISIBLE_DEVICES=1", "SBATCH_HINT=no", "JOB_ID=7")
	program, rest := UnpackEnv(packed)
	if !slices.Equal(program, []string{"LD_PRELOAD=x", "A="}) {
		t.Errorf("the program gets %q", program)
	}
	if got := SchedulerEnv(rest); !slices.Equal(got, []string{"SLURM_JOB_ID=7", "CUDA_VISIBLE_DEVICES=1", "JOB_ID=7"}) {
		t.Errorf("of %q the scheduler's are %q", rest, got)
	}
}
