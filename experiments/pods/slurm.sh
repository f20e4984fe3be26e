#!/bin/bash
# Submits a program as a Slurm job: one process for each GPU.
#
#   experiments/pods/slurm.sh --nodes=2 --gpus=8 [--time=24:00:00] \
#     [--cpus=8] [--dry_run] -- experiments.train --config=... --workdir=runs/x
#
# JAX takes of each node's GPUs the one of the task's number, so every task must
# see them all. 120 s before its end Slurm sends SIGTERM, and the run stops with
# a checkpoint; --requeue starts it again after a preemption.
source "$(dirname "$0")/options.sh"
read_options nodes gpus time=24:00:00 cpus=8 :: "$@"
whole nodes 1
whole gpus 1
whole cpus 1
[[ "$time" =~ ^(([0-9]+-)?[0-9]+(:[0-9]+){0,2}|UNLIMITED)$ ]] ||
  fail "--time=$time: must be as 24:00:00 or 2-00:00:00, or UNLIMITED"
run sbatch "--nodes=$nodes" "--ntasks-per-node=$gpus" "--gpus-per-node=$gpus" \
  "--cpus-per-task=$cpus" "--time=$time" --signal=TERM@120 --requeue \
  --open-mode=append \
  "--wrap=srun --gpu-bind=none --kill-on-bad-exit=0 .venv/bin/python -m $(quoted "${program[@]}")--distributed"
