#!/bin/bash
# Starts a program as several processes of this machine, to try them without a
# pod: one CPU device each, over localhost.
#
#   experiments/pods/local.sh --processes=2 [--port=9876] [--dry_run] \
#     -- experiments.train --config=... --workdir=runs/x
#
# Ends with the first exit code that is not 0.
source "$(dirname "$0")/options.sh"
read_options processes port=9876 :: "$@"
whole processes 1
whole port 1 65535
python="${PYTHON:-.venv/bin/python}" pids=() code=0
# Each is a process group, so that Ctrl-C reaches them by this script alone: a
# second signal would end them without a checkpoint.
set -m
for ((i = 0; i < processes; i++)); do
  command=(
    env JAX_PLATFORMS=cpu JAX_NUM_CPU_DEVICES=1 "$python" -m "${program[@]}"
    --distributed "--coordinator=localhost:$port"
    "--num_processes=$processes" "--process_id=$i"
  )
  if [ -n "$dry_run" ]; then run "${command[@]}"; else
    "${command[@]}" </dev/null &
    pids+=($!)
  fi
done
# Whoever stops this script stops them.
trap 'asked=1; kill -TERM "${pids[@]}" 2>/dev/null || true' TERM INT
for pid in "${pids[@]}"; do
  asked=1
  # A signal ends the wait, and not the process.
  while [ -n "$asked" ]; do
    asked='' own=0
    wait "$pid" || own=$?
  done
  [ $code -ne 0 ] || code=$own
done
exit $code
