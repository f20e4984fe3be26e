"""Critical damping by R1: how fast the Dirac-GAN converges at each weight.

  python -m experiments.damping --out=docs/damping.png \
    --fill=docs/results.md:damping

Durr et al. 2022 (arXiv 2212.04580): of gradient penalties an intermediate
strength converges fastest, where the generator's dynamics is critically damped.
In the Dirac-GAN that weight is 1 (dynamics.dirac_decay). Both players follow
their gradients at the same small rate, from random points on the unit circle.
Printed for each weight: the rate of decay of the distance to the equilibrium in
closed form and as fitted to the nonlinear game, and the time to a thousandth,
mean and 95 % interval over the starts.
"""

import pathlib
import sys
from typing import TYPE_CHECKING

from absl import flags

from experiments import launch, listed, printed
from gan_jax.storage import whole

if TYPE_CHECKING:
  from collections.abc import Callable

  import numpy as np

  from gan_jax.study import statistics

_OUT = flags.DEFINE_string('out', None, 'The png to write.')
_WEIGHTS = flags.DEFINE_list(
  'weights',
  ['0.1', '0.2', '0.4', '0.7', '1', '1.4', '2.5', '5', '10'],
  "R1's.",
)
_RATE = flags.DEFINE_float('rate', 0.02, 'Step size of both players.')
_TIME = flags.DEFINE_float('time', 400.0, 'Steps times the step size.')
_SEEDS = flags.DEFINE_integer('seeds', 20, 'Starts.', lower_bound=2)


def _played() -> 'Callable[[float], np.ndarray]':
  """Distances to the equilibrium at a weight of R1, `[seeds, steps + 1]`."""
  import jax
  import jax.numpy as jnp
  import numpy as np
  import optax

  from gan_jax import types
  from gan_jax.game import dynamics, rules

  sgd = types.Pair(optax.sgd(_RATE.value), optax.sgd(_RATE.value))
  angles = jax.random.uniform(jax.random.key(0), (_SEEDS.value,)) * 2 * jnp.pi

  @jax.jit
  def distances(r1: jax.Array) -> jax.Array:
    def of(angle: jax.Array) -> jax.Array:
      begin = types.Pair(jnp.cos(angle), jnp.sin(angle))
      game = dynamics.dirac_gan(r1)
      path = dynamics.play(
        rules.Rule(rules.simultaneous), game, sgd, begin, {}, _length()
      )
      return jnp.hypot(*path)

    return jax.vmap(of)(angles)

  return lambda weight: np.asarray(distances(jnp.float32(weight)))


def _length() -> int:
  """In steps."""
  return round(_TIME.value / _RATE.value)


def _fitted(times: 'np.ndarray', distance: 'np.ndarray') -> float:
  """The rate where the game is linear, and float32 not yet at its end.

  NaN where it does not come as far.
  """
  import numpy as np

  kept = (distance < 0.1) & (distance > 1e-20)
  if kept.sum() < 2:
    return np.nan
  return -float(np.polyfit(times[kept], np.log(distance[kept]), 1)[0])


def _measured(
  times: 'np.ndarray', distances: 'np.ndarray'
) -> 'tuple[statistics.Estimate, statistics.Estimate]':
  """The rate of decay, and the time to a thousandth, over the starts."""
  import numpy as np

  from gan_jax.study import statistics

  rates = [_fitted(times, distance) for distance in distances]
  # The last time above it, for the way may turn around the equilibrium.
  last = [times[distance >= 1e-3][-1] for distance in distances]
  reached = [t if t < times[-1] else np.nan for t in last]
  return (
    statistics.estimate('rate', rates), statistics.estimate('time', reached)
  )  # fmt: skip


def main() -> None:
  if _OUT.value is None or min(_RATE.value, _TIME.value) <= 0:
    raise ValueError('--out=FILE must be given, --rate and --time be positive')
  whole.check_file('out', _OUT.value)
  import numpy as np

  from gan_jax.game import dynamics
  from gan_jax.report import charts

  weights = listed.numbers(
    'weights', _WEIGHTS.value, float, 'numbers above 0', sys.float_info.min
  )
  times = _RATE.value * np.arange(_length() + 1)
  play = _played()
  rates, paths = {}, {}
  sheet = printed.Sheet({
    'weight of R1': 12, 'rate, closed form': 19, 'fitted': 22,
    'time to a thousandth': 24,
  })  # fmt: skip
  for weight in weights:
    distances = play(weight)
    rate, time = _measured(times, distances)
    exact = dynamics.dirac_decay(weight)
    sheet.add(f'{weight:g}', f'{exact:.4f}', f'{rate}', f'{time}')
    rates[weight], paths[weight] = rate, distances[0]
  charts.save_damping(
    pathlib.Path(_OUT.value), rates, dynamics.dirac_decay, times, paths
  )
  sheet.write()
  print(_OUT.value)


if __name__ == '__main__':
  launch.run(main)
