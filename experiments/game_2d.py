"""Every update rule on the Dirac-GAN and on the bilinear game.

  python -m experiments.game_2d --out=docs/game_2d.png

One step size for all. Printed for each rule: its distance to the equilibrium
after the last step, and the largest modulus of an eigenvalue of its update.
"""

import pathlib

from absl import flags

from experiments import launch
from gan_jax.storage import whole

_OUT = flags.DEFINE_string('out', None, 'The png to write.')
_STEPS = flags.DEFINE_integer('steps', 400, 'Updates.', lower_bound=1)
_RATE = flags.DEFINE_float('rate', 0.2, 'Step size of both players.')
_R1 = flags.DEFINE_float('r1', 0.25, "R1's weight in the second panel.")


def main() -> None:
  if _OUT.value is None or _RATE.value <= 0:
    raise ValueError('--out=FILE must be given, and --rate be positive')
  whole.check_file('out', _OUT.value)
  import numpy as np
  import optax

  from gan_jax import types
  from gan_jax.config import fields as configs
  from gan_jax.engine import build, names
  from gan_jax.game import dynamics
  from gan_jax.report import charts

  config = configs.Config()
  config.rule.consensus_weight = 0.5
  hyper = build.make_hyper(config)
  optimisers = types.Pair(optax.sgd(_RATE.value), optax.sgd(_RATE.value))
  origin, begin = types.Pair(0.0, 0.0), types.Pair(1.0, 1.0)
  axis = np.linspace(-2, 2, 17)
  panels = []
  for name, losses in (
    ('Dirac-GAN', dynamics.dirac_gan()),
    (f'Dirac-GAN, R1 of {_R1.value:g}', dynamics.dirac_gan(_R1.value)),
    ('Bilinear game', dynamics.BILINEAR),
  ):
    paths = {}
    print(f'{name:34s}{"distance":>12s}{"eigenvalue":>12s}')
    for label, make in names.RULES.items():
      setting = (make(config.rule), losses, optimisers)
      path = np.stack(dynamics.play(*setting, begin, hyper, _STEPS.value), 1)
      rate = dynamics.rate_of_convergence(*setting, origin, hyper)
      print(f'  {label:32s}{np.hypot(*path[-1]):12.2e}{rate:12.4f}')
      paths[label] = path
    panels.append(
      charts.Plane(name, paths, axis, dynamics.directions(losses, axis))
    )
  charts.save_planes(pathlib.Path(_OUT.value), panels)
  print(_OUT.value)


if __name__ == '__main__':
  launch.run(main)
