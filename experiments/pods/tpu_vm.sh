#!/bin/bash
# Starts a program on every host of a TPU VM slice, which JAX finds by itself.
#
#   experiments/pods/tpu_vm.sh --name=SLICE --zone=ZONE [--folder=gan_jax] \
#     [--dry_run] -- experiments.train --config=... --workdir=runs/x
#
# The repository, with its environment, is in the same folder of each host. The
# folder of the run is written on the first host alone.
source "$(dirname "$0")/options.sh"
read_options name zone folder=gan_jax :: "$@"
there="cd $(quoted "$folder")&& .venv/bin/python -m $(quoted "${program[@]}")--distributed"
run gcloud compute tpus tpu-vm ssh "$name" "--zone=$zone" --worker=all \
  "--command=$there"
