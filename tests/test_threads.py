"""Which games run on one thread."""

import importlib
import os
import pathlib
import subprocess
import sys

import pytest

from gan_jax.config import fields as configs, values
from gan_jax.engine import threads

_COUNT = """
import pathlib
import jax
from experiments.configs import gaussian_1d, ring_2d
from gan_jax.engine import threads
threads.choose(gaussian_1d.get_config())
threads.choose(ring_2d.get_config())
jax.devices()
names = [p.read_text() for p in pathlib.Path('/proc/self/task').glob('*/comm')]
print(sum('XLAEigen' in name for name in names))
"""


@pytest.mark.skipif(
  not pathlib.Path('/proc/self/task').exists(), reason='Linux lists threads'
)
@pytest.mark.parametrize(('chosen', 'count'), [(None, 1), ('3', 3)])
def test_a_small_game_has_one_thread(chosen: str | None, count: int):
  """Unless the user chooses; and what comes later changes nothing."""
  # Several devices, as of these tests, have as many threads.
  of_ours = 'NPROC', 'XLA_FLAGS'
  environ = {k: v for k, v in os.environ.items() if k not in of_ours}
  done = subprocess.run(
    [sys.executable, '-c', _COUNT],
    env=environ | ({'NPROC': chosen} if chosen else {}),
    capture_output=True,
    text=True,
    check=True,
  )
  assert int(done.stdout) == count


@pytest.mark.parametrize(
  ('name', 'fields', 'small'),
  [
    ('gaussian_1d', {}, True),
    ('gaussian_1d', {'gen.width': 64}, True),
    ('gaussian_1d', {'gen.width': None}, False),
    ('gaussian_1d', {'batch_size': 2048}, False),
    ('gaussian_1d', {'packing': 8}, False),
    ('gaussian_1d', {'population.seeds': 8}, False),
    ('gaussian_1d', {'population.vary': {'gen.width': [0.0] * 8}}, False),
    ('ring_2d', {}, False),
    ('digits', {}, False),
    ('mnist_dcgan', {}, False),
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
