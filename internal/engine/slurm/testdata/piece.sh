#!/bin/sh
export MUSTER_ELEMENT="$((SLURM_ARRAY_TASK_ID + 3))"
export MUSTER_ARRAY="${SLURM_ARRAY_JOB_ID}_$MUSTER_ELEMENT"
exec >>/home/u/.local/state/muster/runs/7/logs/"$MUSTER_ELEMENT.log" 2>&1
exec /home/u/bin/muster agent /home/u/.local/state/muster/runs/7
