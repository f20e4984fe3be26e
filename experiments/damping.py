"""Critical damping by R1: how fast the Dirac-GAN converges at each weight.

  python -m experiments.damping --out=docs/damping.png

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

from absl import flags

from experiments import launch, listed
from gan_jax.storage import whole

_OUT = flags.DEFINE_string('out', None, 'The png to write.')
_WEIGHTS = flags.DEFINE_list(
  'weights',
  ['0.1', '0.2', '0.4', '0.7', '1', '1.4', '2.5', '5', '10'],
  "R1's.",
)
_RATE = flags.DEFINE_float('rate', 0.02, 'Step size of both players.')
_TIME = flags.DEFINE_float('time', 400.0, 'Steps times the step size.')
_SEEDS = flags.DEFINE_integer('seeds', 20, 'Starts.', lower_bound=2)


def main() -> None:
  if _OUT.value is None or min(_RATE.value, _TIME.value) <= 0:
    raise ValueError('--out=FILE must be given, --rate and --time be positive')
  whole.check_parent('out', _OUT.value)
  import jax
  import jax.numpy as jnp
  import numpy as np
  import optax

  from gan_jax import types
  from gan_jax.game import dynamics, rules
  from gan_jax.report import charts
  from gan_jax.study import statistics

  weights = listed.numbers(
    'weights', _WEIGHTS.value, float, 'numbers above 0', sys.float_info.min
  )
  sgd = types.Pair(optax.sgd(_RATE.value), optax.sgd(_RATE.value))
  angles = jax.random.uniform(jax.random.key(0), (_SEEDS.value,)) * 2 * jnp.pi
  length = round(_TIME.value / _RATE.value)
  times = _RATE.value * np.arange(length + 1)

  @jax.jit
  def distances(r1: jax.Array) -> jax.Array:
    """`[seeds, steps + 1]`."""

    def of(angle: jax.Array) -> jax.Array:
      begin = types.Pair(jnp.cos(angle), jnp.sin(angle))
      game = dynamics.dirac_gan(r1)
      path = dynamics.play(
        rules.Rule(rules.simultaneous), game, sgd, begin, {}, length
      )
      return jnp.hypot(*path)

    return jax.vmap(of)(angles)

  def fitted(distance: np.ndarray) -> float:
    """Of where the game is linear, and float32 not yet at its end.

    NaN where it does not come as far.
    """
    kept = (distance < 0.1) & (distance > 1e-20)
    if kept.sum() < 2:
      return np.nan
    return -float(np.polyfit(times[kept], np.log(distance[kept]), 1)[0])

  rates, paths = {}, {}
  print(f'{"R1":>6s}{"closed form":>13s}{"fitted":>22s}{"time to 1/1000":>24s}')
  for weight in weights:
    found = np.asarray(distances(jnp.float32(weight)))
    rate = statistics.estimate('rate', [fitted(each) for each in found])
    # The last time above it, for the way may turn around the equilibrium.
    last = [times[each >= 1e-3][-1] for each in found]
    time = statistics.estimate(
      'time', [t if t < times[-1] else np.nan for t in last]
    )
    exact = dynamics.dirac_decay(weight)
    print(f'{weight:6g}{exact:13.4f}{rate!s:>22s}{time!s:>24s}')
    rates[weight], paths[weight] = rate, found[0]
  charts.save_damping(
    pathlib.Path(_OUT.value), rates, dynamics.dirac_decay, times, paths
  )
  print(_OUT.value)


if __name__ == '__main__':
  launch.run(main)
