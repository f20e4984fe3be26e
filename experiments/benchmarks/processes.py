"""Training programs as processes, to be stopped and killed."""

import pathlib
import subprocess
import sys
from collections.abc import Sequence


def start(
  arguments: Sequence[str],
  workdir: pathlib.Path,
  program: str = 'experiments.train',
  stdout: int = subprocess.DEVNULL,
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
  )  # fmt: skip
