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
python="${PYTHON:-.venv/bin/python}" pids=() told=0 code=0 asked=''
# Each is a process group, so that signals of a terminal reach them by this
# script alone: a second one would end them without a checkpoint.
set -m
stop() {
  asked=1 told=${#pids[@]}
  [ $told -eq 0 ] || kill -TERM "${pids[@]}" 2>/dev/null || true
}
trap stop TERM INT
# A terminal that is closed may say it twice.
trap 'trap "" HUP; stop' HUP
for ((i = 0; i < processes; i++)); do
  [ -z "$asked" ] || break
  command=(
    env JAX_PLATFORMS=cpu JAX_NUM_CPU_DEVICES=1 "$python" -m "${program[@]}"
    --distributed "--coordinator=localhost:$port"
    "--num_processes=$processes" "--process_id=$i"
  )
  if [ -n "$dry_run" ]; then run "${command[@]}"; else
    "${command[@]}" </dev/null &
    pids+=($!)
    # It may have begun while the others were told.
    [ -z "$asked" ] || [ ${#pids[@]} -eq $told ] || kill -TERM $! 2>/dev/null || true
  fi
done
[ -z "$asked" ] || [ ${#pids[@]} -gt 0 ] || code=143
for pid in ${pids[@]+"${pids[@]}"}; do
  asked=1
  # A signal ends the wait, and not the process.
  while [ -n "$asked" ]; do
    asked='' own=0
    wait "$pid" || own=$?
  done
  [ $code -ne 0 ] || code=$own
done
exit $code
