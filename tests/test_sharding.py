"""A state split over devices plays the same game as one copied to each."""

import dataclasses
import json
import pathlib

import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from gan_jax.config import fields as configs
from gan_jax.data import absent
from gan_jax.engine import ahead, build, program, sharding
from gan_jax.networks import mlp
from gan_jax.run import train


@pytest.mark.parametrize(
  ('shape', 'count', 'spec'),
  [
    ((4, 4, 64, 128), 4, (None, None, None, 'batch')),
    ((4, 4, 128, 64), 4, (None, None, 'batch')),
    ((128, 128), 4, (None, 'batch')),  # The last of equal ones.
    ((130, 128), 4, (None, 'batch')),
    ((130, 131), 4, ()),
    ((2**13,), 4, ()),  # Small.
    ((2**14,), 4, ('batch',)),
    ((2**14,), 1, ()),
  ],
)
def test_an_array_is_split_by_its_largest_divisible_dimension(
  shape: tuple[int, ...], count: int, spec: tuple[str | None, ...]
):
  assert sharding.fsdp_spec(shape, count) == PartitionSpec(*spec)


def losses(workdir: pathlib.Path) -> np.ndarray:
  lines = (workdir / 'metrics.jsonl').read_text().splitlines()
  rows = [row for row in map(json.loads, lines) if 'disc/loss' in row]
  names = ('disc/loss', 'gen/loss', 'disc/grad_norm', 'gen/grad_norm')
  return np.array([[row[name] for name in names] for row in rows])


def test_a_split_run_goes_on_as_copies_and_has_the_same_losses(
  tiny: configs.Config, tmp_path: pathlib.Path
):
  tiny.gen.net = mlp.GenSettings(width=128, depth=2)
  tiny.disc.net = mlp.DiscSettings(width=128, depth=2)
  split = dataclasses.replace(tiny, sharding='fsdp', steps=8)
  game = program.open_game(split)
  state = game.start()
  # Both players' and the average's weights, and Adam's two moments of each.
  parts = [
    x
    for x in jax.tree.leaves(state)
    if x.addressable_shards[0].data.size * 4 == x.size
  ]
  assert len(parts) == 7
  train.train(split, tmp_path / 'a')
  train.train(tiny, tmp_path / 'a')
  train.train(tiny, tmp_path / 'b')
  np.testing.assert_allclose(
    losses(tmp_path / 'a'), losses(tmp_path / 'b'), rtol=1e-4
  )
  config = json.loads((tmp_path / 'a' / 'config.json').read_text())['config']
  assert config['sharding'] == 'replicated'


def test_choosing_images_sends_nothing(tiny: configs.Config):
  """Of players without batch statistics: the gradients and logs alone."""
  tiny.data.name = 'digits'
  tiny.gen.latent_dim = 4
  tiny.steps = tiny.log_every = tiny.eval.every = tiny.checkpoint.every = 1
  report = ahead.compile_for(build.complete(tiny), 'cpu', absent.Form())
  assert report['chips'] == 4
  (found,) = report['collectives']
  # One for each player, and none for the walk that `permute` takes.
  assert found['kind'] == 'all-reduce'
  assert found['num'] == 2
