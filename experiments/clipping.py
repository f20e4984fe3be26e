"""The cycles of a Wasserstein game whose critic's weight is clipped.

  python -m experiments.clipping --out=docs/clipping.png \
    --fill=docs/results.md:clipping

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
from typing import TYPE_CHECKING

from absl import flags

from experiments import launch, listed, printed
from gan_jax.storage import whole

if TYPE_CHECKING:
  import jax
  import numpy as np

  from gan_jax.game import rules
  from gan_jax.study import statistics

_OUT = flags.DEFINE_string('out', None, 'The png to write.')
_CLIPS = flags.DEFINE_list('clips', ['0.3', '1', '3'], 'Of psi; 0 is no clip.')
_RATE = flags.DEFINE_float('rate', 0.002, 'Step size of both players.')
_TIME = flags.DEFINE_float('time', 80.0, 'Steps times the step size.')
_SEEDS = flags.DEFINE_integer('seeds', 20, 'Starts.', lower_bound=2)


def _starts() -> 'tuple[jax.Array, jax.Array, jax.Array]':
  """Theta, psi and their radius, `[seeds]` each."""
  import jax
  import jax.numpy as jnp

  keys = jax.random.split(jax.random.key(0), 2)
  angle = jax.random.uniform(keys[0], (_SEEDS.value,)) * 2 * jnp.pi
  size = jax.random.uniform(keys[1], angle.shape, minval=0.5, maxval=2.0)
  return size * jnp.cos(angle), size * jnp.sin(angle), size


def _played(rule: 'rules.Rule', clip: float) -> 'tuple[np.ndarray, np.ndarray]':
  """The ways of theta and of psi, `[seeds, steps + 1]` each."""
  import jax
  import numpy as np
  import optax

  from gan_jax import types
  from gan_jax.game import dynamics, projection

  sgd = optax.sgd(_RATE.value)
  clipped = types.Pair(sgd, projection.into_box(sgd, clip))

  def play(theta: jax.Array, psi: jax.Array) -> types.Pair:
    begin = types.Pair(theta, psi)
    return dynamics.play(
      rule, dynamics.WASSERSTEIN, clipped, begin, {}, _length()
    )

  path = jax.jit(jax.vmap(play))(*_starts()[:2])
  return np.asarray(path.gen), np.asarray(path.disc)


def _length() -> int:
  """In steps."""
  return round(_TIME.value / _RATE.value)


def _measured(
  theta: 'np.ndarray', clip: float, outwards: float
) -> 'list[statistics.Estimate]':
  """The radius of theta's last turns, and their period, over the exact ones.

  Args:
    theta: `[seeds, steps + 1]`.
    clip: of psi.
    outwards: the logarithm of the growth of the radius in a step, unclipped.
  """
  import numpy as np

  from gan_jax.game import dynamics
  from gan_jax.study import statistics

  turns = theta[:, _length() // 2 :]
  grown = np.exp(outwards * _length())
  exact = [
    dynamics.clipped_radius(float(r) * grown, clip) for r in _starts()[2]
  ]
  periods = []
  for turn in turns:
    ups = np.flatnonzero((turn[:-1] < 0) & (turn[1:] >= 0))
    periods.append(np.diff(ups).mean() * _RATE.value / (2 * np.pi))
  return [
    statistics.estimate('radius', np.abs(turns).max(axis=1) / exact),
    statistics.estimate('period', periods),
  ]


def main() -> None:
  if _OUT.value is None or _RATE.value <= 0 or _TIME.value < 40:
    raise ValueError(
      '--out=FILE must be given, --rate be positive and --time be 40 or more'
    )
  whole.check_file('out', _OUT.value)
  import numpy as np

  from gan_jax.game import rules
  from gan_jax.report import charts

  clips = listed.numbers(
    'clips', _CLIPS.value, float, 'numbers of 0 or more', 0
  )
  paths = {}
  sheet = printed.Sheet({
    '': 14, 'clip': 6, 'radius / closed form': 22, 'period / 2 pi': 20,
  })  # fmt: skip
  for name, rule, outwards in (
    ('alternating', rules.ALTERNATING, 0.0),
    # sqrt(1 + rate^2) a step where both move at once.
    (
      'simultaneous',
      rules.Rule(rules.simultaneous),
      np.log1p(_RATE.value**2) / 2,
    ),
  ):
    for clip in clips:
      theta, psi = _played(rule, clip)
      sheet.add(name, f'{clip:g}', *map(str, _measured(theta, clip, outwards)))
      paths[f'{name}, clip {clip:g}'] = np.stack([theta, psi], axis=-1)[:8]
  charts.save_cycles(pathlib.Path(_OUT.value), paths)
  sheet.write()
  print(_OUT.value)


if __name__ == '__main__':
  launch.run(main)
