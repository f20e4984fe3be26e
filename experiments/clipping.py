"""The cycles of a Wasserstein game whose critic's weight is clipped.

  python -m experiments.clipping --out=docs/clipping.png

The data are at 0, G's only sample is at theta and the critic is D(x) = psi x
with |psi| <= c: WGAN's algorithm (Arjovsky et al. 2017) in two numbers, the
bilinear game with a projection. Delgadino et al. 2025 prove of a toy game with
clipped weights that all solutions tend to periodic ones. Here the flow turns
with the period 2 pi; where it leaves the box, psi waits at c until theta is 0,
so that from then on it is on the circle of radius c (dynamics.clipped_radius).
Printed for each rule and clip: the radius of theta's last turns over that of
the closed form, and their period over 2 pi, mean and 95 % interval over starts.
"""

import pathlib

from absl import flags

from experiments import launch, listed
from gan_jax.storage import whole

_OUT = flags.DEFINE_string('out', None, 'The png to write.')
_CLIPS = flags.DEFINE_list('clips', ['0.3', '1', '3'], 'Of psi; 0 is no clip.')
_RATE = flags.DEFINE_float('rate', 0.002, 'Step size of both players.')
_TIME = flags.DEFINE_float('time', 80.0, 'Steps times the step size.')
_SEEDS = flags.DEFINE_integer('seeds', 20, 'Starts.', lower_bound=2)


def main() -> None:
  if _OUT.value is None or _RATE.value <= 0 or _TIME.value < 40:
    raise ValueError(
      '--out=FILE must be given, --rate be positive and --time be 40 or more'
    )
  whole.check_parent('out', _OUT.value)
  import jax
  import jax.numpy as jnp
  import numpy as np
  import optax

  from gan_jax import types
  from gan_jax.game import dynamics, projection, rules
  from gan_jax.report import charts
  from gan_jax.study import statistics

  clips = listed.numbers(
    'clips', _CLIPS.value, float, 'numbers of 0 or more', 0
  )
  keys = jax.random.split(jax.random.key(0), 2)
  angle = jax.random.uniform(keys[0], (_SEEDS.value,)) * 2 * jnp.pi
  size = jax.random.uniform(keys[1], angle.shape, minval=0.5, maxval=2.0)
  start = size * jnp.cos(angle), size * jnp.sin(angle)
  sgd = optax.sgd(_RATE.value)
  length = round(_TIME.value / _RATE.value)
  # sqrt(1 + rate^2) a step where both move at once.
  outwards = {'alternating': 0.0, 'simultaneous': np.log1p(_RATE.value**2) / 2}
  paths = {}
  print(f'{"":14s}{"clip":>6s}{"radius":>20s}{"period":>20s}')
  for name, rule in (
    ('alternating', rules.ALTERNATING),
    ('simultaneous', rules.Rule(rules.simultaneous)),
  ):
    for clip in clips:

      def played(x: jax.Array, y: jax.Array) -> types.Pair:
        own = types.Pair(sgd, projection.into_box(sgd, clip))  # noqa: B023
        begin = types.Pair(x, y)
        game = dynamics.WASSERSTEIN
        return dynamics.play(rule, game, own, begin, {}, length)  # noqa: B023

      found = jax.jit(jax.vmap(played))(*start)
      theta, psi = np.asarray(found.gen), np.asarray(found.disc)
      turns = theta[:, length // 2 :]
      grown = np.exp(outwards[name] * length)
      exact = [dynamics.clipped_radius(float(r) * grown, clip) for r in size]
      radius = np.abs(turns).max(axis=1) / exact
      periods = []
      for each in turns:
        ups = np.flatnonzero((each[:-1] < 0) & (each[1:] >= 0))
        periods.append(np.diff(ups).mean() * _RATE.value / (2 * np.pi))
      cells = [
        str(statistics.estimate(title, values))
        for title, values in (('radius', radius), ('period', periods))
      ]
      print(f'{name:14s}{clip:6g}' + ''.join(f'{cell:>20s}' for cell in cells))
      paths[f'{name}, clip {clip:g}'] = np.stack([theta, psi], axis=-1)[:8]
  charts.save_cycles(pathlib.Path(_OUT.value), paths)
  print(_OUT.value)


if __name__ == '__main__':
  launch.run(main)
