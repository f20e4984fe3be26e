"""Overfitting figures against closed forms, in rows and in the picture."""

import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import PIL.Image
import pytest
from scipy import spatial

from gan_jax import types
from gan_jax.config import fields as configs
from gan_jax.data import opening
from gan_jax.engine import build
from gan_jax.evaluation import overfitting
from gan_jax.game import spec as specs, state as states
from gan_jax.networks import mlp
from gan_jax.report import charts
from gan_jax.run import train

NOBODY = states.NetState({}, (), {})


def digits() -> configs.Config:
  config = configs.Config(steps=2, batch_size=8, log_every=1)
  config.data.name, config.data.split = 'digits', 'train[:10%]'
  config.eval.held_out = 'train[98%:]'
  config.gen.net = mlp.GenSettings(width=8, depth=1)
  config.disc.net = mlp.DiscSettings(width=8, depth=1)
  config.eval.every = config.checkpoint.every = 2
  return config


def pixels(config: configs.Config, split: str) -> np.ndarray:
  images, _ = opening.open_split(config.data, split)
  x, _ = images.fetch(range(images.total))
  return x.astype(np.float64) / 127.5 - 1


def spec_of(config: configs.Config) -> specs.Spec:
  """D's logit is the mean of all pixels that it judges, and a bit more."""
  source = build.make_source(config, jax.random.key(0))

  def apply(params: Any, vars: Any, batch: types.Batch, **_: Any) -> Any:
    return batch.x.mean(axis=(1, 2, 3)) + 0.3, vars

  disc = types.Network(lambda key: ({}, {}), apply)
  return build.make_spec(config, source.info)._replace(disc=disc)


def test_stacks_have_no_nearest_one():
  config = digits()
  config.data.stack = 3
  figures = overfitting.make_figures(config, spec_of(config))
  found = figures(NOBODY, types.Batch(jnp.zeros((20, 8, 8, 3))))
  assert {*found} == {
    f'overfit/{name}' for name in ('real', 'held_out', 'fake', 'r_t', 'r_v')
  }


@pytest.mark.parametrize('flip', [False, True])
def test_figures_by_hand(flip: bool):
  config = digits()
  config.data.flip = flip
  figures = jax.jit(overfitting.make_figures(config, spec_of(config)))
  generated = np.random.default_rng(0).uniform(-1, 1, (20, 8, 8, 1))
  found = figures(NOBODY, types.Batch(jnp.asarray(generated, jnp.float32)))
  train, held_out = (
    pixels(config, split) for split in (config.data.split, 'train[98%:]')
  )
  logits = [x.mean(axis=(1, 2, 3)) + 0.3 for x in (train, held_out, generated)]
  real, held, fake = (x.mean() for x in logits)
  known = [train, train[:, :, ::-1]] if flip else [train]

  def near(x: np.ndarray) -> float:
    vectors = np.concatenate(known).reshape(-1, 64)
    distances = spatial.distance.cdist(x.reshape(-1, 64), vectors)
    return float(np.median(distances.min(axis=1)))

  expected = {
    'real': real,
    'held_out': held,
    'fake': fake,
    'r_t': np.sign(logits[0]).mean(),
    'r_v': (real - held) / (real - fake),
    'nearest': near(generated) / near(held_out),
  }
  assert {*found} == {f'overfit/{name}' for name in expected}
  for name, value in expected.items():
    assert found[f'overfit/{name}'] == pytest.approx(value, rel=1e-3)


def test_copies_are_near():
  config = digits()
  config.data.flip = True
  figures = overfitting.make_figures(config, spec_of(config))
  copies = pixels(config, config.data.split)[:30, :, ::-1]
  found = figures(NOBODY, types.Batch(jnp.asarray(copies, jnp.float32)))
  assert found['overfit/nearest'] < 1e-5


def test_packs_are_judged_whole():
  config = digits()
  config.packing = 3
  spec = spec_of(config)
  figures = overfitting.make_figures(config, spec)
  found = figures(NOBODY, types.Batch(jnp.ones((20, 8, 8, 1))))
  assert found['overfit/fake'] == pytest.approx(1.3)


def test_images_to_hold_out_are_looked_for_before_a_run(
  tmp_path: pathlib.Path, tiny: configs.Config
):
  config = digits()
  config.eval.held_out = 'train[5%:]'
  tiny.eval.held_out = 'test'
  for wrong, said in (
    (config, 'the generator is trained on it'),
    (tiny, "eval.held_out='test': needs images"),
  ):
    with pytest.raises(ValueError, match=said):
      train.train(wrong, tmp_path / 'run')
  assert not (tmp_path / 'run').exists()


@pytest.mark.pictures
def test_health_has_a_second_row(tmp_path: pathlib.Path):
  row = {
    'disc/accuracy': 0.5, 'disc/grad_norm': 1.0, 'gen/grad_norm': 2.0,
    'health/loss_ratio': 2.0,
  }  # fmt: skip
  plain = [{'step': i, **row} for i in (1, 2)]
  looked = {'overfit/r_v': {'mean': 0.5}, 'overfit/real': 1.0}
  heights = []
  for rows in (plain, [*plain, {'step': 3, **row, **looked}]):
    charts.save_health(tmp_path / 'health.png', rows)
    with PIL.Image.open(tmp_path / 'health.png') as picture:
      heights.append(picture.height)
  assert heights[1] == 2 * heights[0]
