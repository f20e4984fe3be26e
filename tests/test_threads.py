"""Which games run on one thread."""

import importlib
import os
import pathlib
import subprocess
import sys

import pytest

from gan_jax.config import fields as configs, values
from gan_jax.engine import threads
from gan_jax.networks import mlp

_COUNT = """
import pathlib
import sys
import jax
from experiments.configs import gaussian_1d, ring_2d
from gan_jax.engine import threads
from gan_jax.ops import cpu
if sys.argv[1:]:
  cpu.set_stock()
threads.choose(gaussian_1d.get_config())
threads.choose(ring_2d.get_config())
jax.devices()
names = [p.read_text() for p in pathlib.Path('/proc/self/task').glob('*/comm')]
print(sum('XLAEigen' in name for name in names))
"""


def count_threads(chosen: str | None, *arguments: str) -> int:
  """Of XLA, in a process whose user sets NPROC or does not."""
  # Several devices, as of these tests, have as many threads.
  of_ours = 'NPROC', 'XLA_FLAGS'
  environ = {k: v for k, v in os.environ.items() if k not in of_ours}
  done = subprocess.run(
    [sys.executable, '-c', _COUNT, *arguments],
    env=environ | ({'NPROC': chosen} if chosen else {}),
    capture_output=True,
    text=True,
    check=True,
  )
  return int(done.stdout)


needs_proc = pytest.mark.skipif(
  not pathlib.Path('/proc/self/task').exists(), reason='Linux lists threads'
)


@needs_proc
@pytest.mark.parametrize(('chosen', 'count'), [(None, 1), ('3', 3)])
def test_a_small_game_has_one_thread(chosen: str | None, count: int):
  """Unless the user chooses; and what comes later changes nothing."""
  assert count_threads(chosen) == count


@needs_proc
def test_stock_leaves_the_threads_to_xla():
  assert count_threads(None, 'stock') == len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
  ('name', 'fields', 'small'),
  [
    ('gaussian_1d', {}, True),
    ('gaussian_1d', {'gen.net': mlp.GenSettings(width=64)}, True),
    ('gaussian_1d', {'gen.net': None}, False),
    ('gaussian_1d', {'batch_size': 2048}, False),
    ('gaussian_1d', {'packing': 8}, False),
    ('gaussian_1d', {'population.seeds': 8}, False),
    ('gaussian_1d', {'population.vary': {'ema.half_life': [0.0] * 8}}, False),
    ('ring_2d', {}, False),
    ('digits', {}, False),
    ('mnist', {}, False),
  ],
)
def test_the_size_of_a_layer_decides(
  name: str, fields: dict[str, object], small: bool
):
  module = importlib.import_module(f'experiments.configs.{name}')
  config: configs.Config = module.get_config()
  for field, value in fields.items():
    values.assign(config, field, value)
  assert threads.suit_one(config) == small
