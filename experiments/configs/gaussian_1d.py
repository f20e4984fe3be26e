"""From a uniform variable to a normal one.

Paper: Goodfellow et al. 2014, "Generative adversarial nets", figure 1; with
R1 (Mescheder et al. 2018). gaussian_1d.py:smooth, which `make train` plays, is
made for the picture of a normal law. `rectified`, the default, is a smaller and
faster game for all densities; its own is a staircase.

Commands:
  python -m experiments.train \
    --config=experiments/configs/gaussian_1d.py:smooth \
    --workdir=runs/gaussian_1d
  python -m experiments.train --config=experiments/configs/gaussian_1d.py \
    --workdir=runs/mixture --config.data.name=mixture

Machine: 2 shared x86 cores, no accelerator. From start to figure 21 s, and 18 s
when all was compiled before; `rectified` right after it took 12 s.

Result: docs/results.md, ten seeds of each by experiments/tables/laws.py. The
picture's seed, as a run of its own, has a total variation of .033.
"""

from gan_jax.config import fields as config, values
from gan_jax.networks import mlp


def _smooth(c: config.Config) -> None:
  """A generator whose density is smooth, and a D that sees its details."""
  c.steps = 12_000
  c.disc_steps = 3
  # Few units that bend all over z make a smooth density; a high rate, its
  # steep ends.
  c.gen.net = mlp.GenSettings(width=16, activation='silu', spread=1.5)
  c.disc.net = mlp.DiscSettings(width=32, activation='silu', spread=3.0)
  c.optim.gen.learning_rate = 1e-2
  c.optim.disc.learning_rate = 2e-3
  c.penalties.r1.weight = 0.01
  c.eval.num_samples = 200_000
  c.eval.every = 500
  c.checkpoint.every = 3000


def _rectified(c: config.Config) -> None:
  """Rectifiers, one D step and R1."""
  c.steps = 16_000
  c.gen.net = mlp.GenSettings(width=32)
  c.disc.net = mlp.DiscSettings(width=32)
  c.penalties.r1.weight = 0.1
  c.eval.every = 800
  c.checkpoint.every = 4000


ARGUMENTS = {'rectified': _rectified, 'smooth': _smooth}


def get_config(game: str = 'rectified') -> config.Config:
  c = config.Config()
  c.batch_size = 256
  values.choose('game', game, ARGUMENTS)(c)
  # D at a constant rate tracks the optimum; G's rate falls to nothing, so that
  # it follows D's mean and not its noise.
  c.schedules['optim.gen.learning_rate'] = config.Schedule(
    'cosine', end=c.steps
  )
  c.optim.gen.b1 = c.optim.disc.b1 = 0.0
  c.ema.half_life = 100_000.0
  return c
