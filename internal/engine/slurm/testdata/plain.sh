#!/bin/sh
export MUSTER_ELEMENT="$SLURM_ARRAY_TASK_ID"
export MUSTER_ARRAY="${SLURM_ARRAY_JOB_ID}_$MUSTER_ELEMENT"
exec /home/u/bin/muster agent /home/u/.local/state/muster/runs/7
