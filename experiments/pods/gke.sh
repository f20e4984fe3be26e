#!/bin/bash
# Starts a program as a workload of a GKE cluster that XPK made.
#
#   experiments/pods/gke.sh --cluster=CLUSTER --workload=NAME \
#     --tpu_type=v5litepod-16 --image=IMAGE [--restarts=10] [--dry_run] \
#     -- experiments.train --config=... --workdir=/mnt/runs/x
#
# The image has the repository, with what it needs, as its working directory.
# The folder of the run must outlive the pods: a mounted volume.
source "$(dirname "$0")/options.sh"
read_options cluster workload tpu_type image restarts=10 :: "$@"
whole restarts 0
run xpk workload create "--cluster=$cluster" "--workload=$workload" \
  "--tpu-type=$tpu_type" --num-slices=1 "--docker-image=$image" \
  "--max-restarts=$restarts" \
  "--command=python -m $(quoted "${program[@]}")--distributed"
