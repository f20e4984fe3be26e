"""Training programs as processes, to be stopped and killed."""

import os
import pathlib
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence


def start(
  arguments: Sequence[str],
  workdir: pathlib.Path,
  program: str = 'experiments.train',
  stdout: int = subprocess.DEVNULL,
  environ: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
  """A training process of ours."""
  return subprocess.Popen(
    [
      sys.executable, '-m', program, *arguments,
      f'--workdir={workdir}',
    ],
    cwd=pathlib.Path(__file__).parent.parent.parent,
    stdout=stdout,
    stderr=subprocess.PIPE,
    env=environ,
  )  # fmt: skip


def start_together(
  arguments: Sequence[str], workdir: pathlib.Path, count: int
) -> list[subprocess.Popen[bytes]]:
  """So many that train one run, each with one CPU device."""
  if count == 1:
    return [start(arguments, workdir)]
  with socket.socket() as probe:
    probe.bind(('', 0))
    port = probe.getsockname()[1]
  environ = {**os.environ, 'JAX_PLATFORMS': 'cpu', 'JAX_NUM_CPU_DEVICES': '1'}
  return [
    start(
      [
        *arguments, '--distributed', f'--coordinator=localhost:{port}',
        f'--num_processes={count}', f'--process_id={i}', '--wait_s=45',
      ],
      workdir,
      environ=environ,
    )
    for i in range(count)
  ]  # fmt: skip
