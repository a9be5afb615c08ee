package agent

import (
	"fmt"
	"os"
)

// machineName is this machine's own name.
func machineName() (string, error) {
	name, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("finding out this machine's name: %w", err)
	}
	return name, nil
}

// nodeName is the name of the node by which the scheduler knows it, where an
// element's environment tells; else the machine's own.
func nodeName(environ []string, machine string) string {
	if name := value(environ, "SLURMD_NODENAME"); name != "" {
		return name
	}
	return machine
}

// jobName is what the scheduler calls the element that this environment is of, as
// its commands take it: 1234_7, 1234.7; "": there is none, or it is not known.
func jobName(environ []string) string {
	switch {
	case value(environ, "SLURMD_NODENAME") != "":
		if array := value(environ, "SLURM_ARRAY_JOB_ID"); array != "" {
			return array + "_" + value(environ, "SLURM_ARRAY_TASK_ID")
		}
		return value(environ, "SLURM_JOB_ID")
	case value(environ, "SGE_ROOT") != "":
		id := value(environ, "JOB_ID")
		if task := value(environ, "SGE_TASK_ID"); id != "" && task != "" && task != "undefined" {
			id += "." + task
		}
		return id
	}
	return ""
}
