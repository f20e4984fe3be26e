"""A state split over devices plays the same game as one copied to each."""

import dataclasses
import json
import math
import pathlib
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from gan_jax.config import fields as configs, values
from gan_jax.data import absent
from gan_jax.engine import ahead, build, hlo, placing, program, sharding
from gan_jax.networks import mlp
from gan_jax.run import train
from gan_jax.storage import checkpoint


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


@pytest.fixture
def digits(tiny: configs.Config) -> configs.Config:
  """1,797 images, which no even number of devices divides."""
  tiny.data.name = 'digits'
  tiny.gen.latent_dim = 4
  return tiny


def losses(workdir: pathlib.Path) -> np.ndarray:
  lines = (workdir / 'metrics.jsonl').read_text().splitlines()
  rows = [row for row in map(json.loads, lines) if 'disc/loss' in row]
  names = ('disc/loss', 'gen/loss', 'disc/grad_norm', 'gen/grad_norm')
  return np.array([[row[name] for name in names] for row in rows])


def test_a_split_run_goes_on_as_copies_and_has_the_same_losses(
  digits: configs.Config, tmp_path: pathlib.Path
):
  """Its state and its images."""
  digits.gen.net = mlp.GenSettings(width=128, depth=2)
  digits.disc.net = mlp.DiscSettings(width=128, depth=2)
  data = dataclasses.replace(digits.data, placement='split')
  split = dataclasses.replace(digits, sharding='fsdp', data=data, steps=8)
  game = program.open_game(split)
  state = game.start()
  # Both players' and the average's weights, and Adam's two moments of each.
  parts = [
    x
    for x in jax.tree.leaves(state)
    if x.addressable_shards[0].data.size * 4 == x.size
  ]
  assert len(parts) == 7
  whole = jax.jit(program.open_game(digits).initial_state)()
  for one, other in zip(*map(jax.tree.leaves, (state, whole)), strict=True):
    np.testing.assert_allclose(one, other, rtol=1e-6)
  train.train(split, tmp_path / 'a')
  # Nor is it whole on any device where it is taken up.
  with checkpoint.Checkpoints(tmp_path / 'a') as saved:
    restored = saved.restore(game.abstract_state(), 8)
  for one, other in zip(*map(jax.tree.leaves, (restored, state)), strict=True):
    assert one.sharding == other.sharding
  train.train(digits, tmp_path / 'a')
  train.train(digits, tmp_path / 'b')
  np.testing.assert_allclose(
    losses(tmp_path / 'a'), losses(tmp_path / 'b'), rtol=1e-4
  )
  config = json.loads((tmp_path / 'a' / 'config.json').read_text())['config']
  assert config['sharding'] == 'replicated'
  assert config['data']['placement'] == 'copy'


def game_on(config: configs.Config, devices: int) -> program.Game:
  source = build.make_source(config, program.root_keys(config.seed).data)
  return program.game_of(config, source, sharding.make_mesh(devices))


@pytest.mark.parametrize(('stack', 'rounds'), [(1, 1), (3, 1), (1, 2), (3, 2)])
def test_split_images_make_the_batches_of_copied_ones(
  stack: int, rounds: int, digits: configs.Config
):
  digits.conditional = digits.data.flip = True
  digits.data.stack, digits.disc_steps = stack, rounds
  drawn = []
  for placement, devices in (('copy', 1), ('split', 4)):
    digits.data.placement = placement
    game = game_on(digits, devices)
    arrays = placing.make_batches(game, 4)(0)

    @jax.jit
    def draw(arrays: Any, step: jax.Array, game: Any = game) -> Any:
      parts = game.spec, game.source, arrays, game.keys, step, game.mesh
      return program.draw_batch(*parts).batch

    # The second is of another epoch.
    drawn.append([draw(arrays, jnp.int32(step)) for step in (3, 700)])
  held = arrays[0].addressable_shards
  assert [len(part.data) for part in held] == [450] * 4
  for one, other in zip(*map(jax.tree.leaves, drawn), strict=True):
    np.testing.assert_array_equal(one, other)


def end_of(config: configs.Config, placement: str, devices: int) -> list[Any]:
  """Weights after twelve steps."""
  config.data.placement = placement
  game = game_on(config, devices)
  arrays = placing.make_batches(game, 12)(0)
  args = game.start(), *game.place((game.hyper, game.keys))
  state, hyper, keys = args
  chunk = program.make_chunk(game, 12)
  return jax.tree.leaves(chunk(state, hyper, arrays, keys)[0].gen.params)


def test_games_on_split_images_are_those_on_copies(digits: configs.Config):
  # Adam would blow up the rounding of gradients that are nearly 0.
  digits.optim.gen.name = digits.optim.disc.name = 'sgd'
  digits.optim.gen.learning_rate = digits.optim.disc.learning_rate = 0.1
  copied, one, two = (
    end_of(digits, *how) for how in (('copy', 1), ('split', 1), ('split', 2))
  )
  for a, b, c in zip(copied, one, two, strict=True):
    np.testing.assert_array_equal(a, b)
    np.testing.assert_allclose(a, c, rtol=1e-4, atol=1e-6)


def test_images_are_counted_as_they_are_placed(digits: configs.Config):
  digits.steps = digits.log_every = 4
  digits.eval.every = digits.checkpoint.every = 4
  found = {}
  for kind in ('copy', 'split', 'streamed'):
    digits.data.placement = 'copy' if kind == 'streamed' else kind
    digits.data.name, given = 'folder', absent.ImageSpec((8, 8, 1), 0, 1797)
    if kind == 'streamed':
      given = given._replace(examples=0)
    report = ahead.compile_for(build.complete(digits), 'cpu', given)
    found[kind] = report['memory']
    sent = {
      each.kind: each
      for each in hlo.summed(
        hlo.Collective(**each) for each in report['collectives']
      )
    }
    # Eight images of bytes, two for each device.
    exchanged = sent.pop('all-to-all', None)
    assert (exchanged and exchanged.num_bytes) == (
      8 * 64 if kind == 'split' else None
    )
    # One for each player: to choose images, and to walk in `permute`, sends
    # nothing.
    assert sent.keys() == {'all-reduce'}
    assert sent['all-reduce'].num == 2
  assert found['copy']['data'] == 1797 * 64
  assert found['split']['data'] == 450 * 64
  # Of four steps, a quarter of eight images, and the number of the first.
  assert found['streamed']['data'] == 4 * 2 * 64 + 4
  assert found['streamed']['data_ahead'] == 4 * 2 * 64 + 4
  assert 'data_ahead' not in found['copy']


@pytest.mark.parametrize('kind', ['copy', 'split', 'streamed'])
def test_each_device_treats_its_own_images_alone(
  kind: str, digits: configs.Config
):
  """Of a step of two rounds of 8, two images of each round."""
  digits.disc_steps, digits.data.flip = 2, True
  digits.data.placement = 'split' if kind == 'split' else 'copy'
  digits.data.device_limit_gb = 0.0 if kind == 'streamed' else 1.0
  game = game_on(digits, 4)
  arrays = placing.make_batches(game, 4)(0)

  @jax.jit
  def draw(arrays: Any, step: jax.Array) -> Any:
    parts = game.spec, game.source, arrays, game.keys, step, game.mesh
    return sharding.split_batch(
      program.draw_batch(*parts).batch, game.mesh, axis=1
    )

  text = draw.lower(arrays, jnp.int32(3)).compile().as_text()

  def sizes(dtype: str) -> set[int]:
    found = re.findall(rf'\b{dtype}\[([\d,]+)\]', text)
    return {math.prod(map(int, shape.split(','))) for shape in found}

  own = 2 * 2 * 64
  assert max(sizes('f32')) == own
  if kind == 'copy':
    assert max(sizes('u8') - {1797 * 64}) == own
  # Split images are exchanged, the others are where they are wanted.
  assert ('all-to-all' in text) == (kind == 'split')
  assert not re.search('all-(gather|reduce)|collective-permute', text)


@pytest.mark.parametrize(
  ('changes', 'words'),
  [
    ({'population.seeds': 2}, 'each member of a population is on one device'),
    ({'data.name': 'ring'}, "data.name='ring' has no images to split"),
  ],
)
def test_images_that_cannot_be_split(
  changes: dict[str, Any], words: str, digits: configs.Config
):
  digits.data.placement = 'split'
  for name, value in changes.items():
    values.assign(digits, name, value)
  with pytest.raises(ValueError, match=f"^data.placement='split': .*{words}"):
    program.open_game(digits)


def test_members_of_a_population_are_not_split(digits: configs.Config):
  digits.sharding, digits.population.seeds = 'fsdp', 2
  with pytest.raises(
    ValueError, match="sharding='fsdp': each member of a popu"
  ):
    program.open_game(digits)


@pytest.mark.parametrize('policy', ['ada.bgcfnc', 'r3gan'])
def test_each_device_warps_its_own_images(policy: str, digits: configs.Config):
  """On four devices the game of one, and nothing is sent but sums."""
  digits.augment.policy, digits.augment.p = policy, 0.9
  digits.penalties.r1.weight = 1.0
  digits.steps = digits.log_every = 12
  digits.eval.every = digits.checkpoint.every = 12
  digits.optim.gen.name = digits.optim.disc.name = 'sgd'
  one, four = (end_of(digits, 'copy', devices) for devices in (1, 4))
  for a, b in zip(one, four, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
  digits.data.name, given = 'folder', absent.ImageSpec((8, 8, 1), 0, 1797)
  report = ahead.compile_for(build.complete(digits), 'cpu', given)
  assert {each['kind'] for each in report['collectives']} == {'all-reduce'}
