"""Eigenvalues of a real game's Jacobian while it is trained, on the ring.

  python -m experiments.jacobian --out=docs/jacobian.png \
    --fill=docs/results.md:jacobian

Small MLPs on the ring, each kind of game from the same seeds: without a
penalty, with R1, with R2, with both, and by each rule of play. At each snapshot
the whole Jacobian of v = (grad_G L_G, grad_D L_D) is computed of samples drawn
anew. Printed for each game after its last step, mean and 95 % interval over the
seeds: the modes found; `rotation`, the share of the spectrum (squares of
moduli) that is imaginary; `turning`, the share of eigenvalues whose imaginary
part is the larger one; `growth`, the largest real part of an eigenvalue of -v
over the largest modulus; and `unstable`, the share of eigenvalues of -v with a
positive real part. Shares leave out those below a thousandth of the largest.

Mescheder et al. 2018 (with R1 or R2) and Nagarajan & Kolter 2017 prove that
around an equilibrium, under their assumptions, the flow along -v converges.
"""

import pathlib
from typing import TYPE_CHECKING

from absl import flags

from experiments import launch, printed
from gan_jax.storage import whole

if TYPE_CHECKING:
  from gan_jax.config import fields as configs
  from gan_jax.engine import spectrum

_OUT = flags.DEFINE_string('out', None, 'The png to write.')
_STEPS = flags.DEFINE_integer('steps', 6000, 'Updates of G.', lower_bound=1)
_EVERY = flags.DEFINE_integer(
  'every', 3000, 'Steps between two snapshots; divides --steps.', lower_bound=1
)
_SEEDS = flags.DEFINE_integer('seeds', 5, 'Of each game.', lower_bound=2)
_WIDTH = flags.DEFINE_integer('width', 12, 'Of both MLPs.', lower_bound=1)
_WEIGHT = flags.DEFINE_float(
  'weight', 0.1, "R1's and R2's where they are on.", lower_bound=0
)
_SAMPLES = flags.DEFINE_integer(
  'samples', 512, 'Real and generated ones behind a Jacobian.', lower_bound=1
)
_GAMES = flags.DEFINE_list(
  'games', [], 'Some of the games alone: none, R1, R2, R1+R2 or a rule of play.'
)


def _games() -> 'dict[str, configs.Config]':
  """By name: penalties with alternating updates, then rules without any."""
  from experiments import recipes
  from gan_jax.config import fields as configs, values
  from gan_jax.engine import names
  from gan_jax.networks import mlp

  def make(penalties: tuple[str, ...], rule: str) -> configs.Config:
    c = configs.Config(steps=_STEPS.value, batch_size=256)
    c.data.name = 'ring'
    recipes.set_latents(c, 2)
    width = _WIDTH.value
    c.gen.net = mlp.GenSettings(width, depth=2, activation='tanh')
    c.disc.net = mlp.DiscSettings(width, depth=2, activation='tanh')
    c.optim.gen.b1 = c.optim.disc.b1 = 0.0
    for name in penalties:
      getattr(c.penalties, name).weight = _WEIGHT.value
    c.rule.name, c.population.seeds = rule, _SEEDS.value
    return c

  games = {
    'none': make((), 'alternating'),
    'R1': make(('r1',), 'alternating'),
    'R2': make(('r2',), 'alternating'),
    'R1+R2': make(('r1', 'r2'), 'alternating'),
  }
  rules = [name for name in names.RULES if name != 'alternating']
  games |= {name: make((), name) for name in rules}
  for name in _GAMES.value:
    values.choose('--games', name, games)
  return {name: games[name] for name in _GAMES.value or games}


def _modes(
  config: 'configs.Config', snapshot: 'spectrum.Snapshot'
) -> list[float]:
  """How many of the ring's modes each member has found."""
  import jax
  import jax.numpy as jnp

  from gan_jax.data import densities
  from gan_jax.engine import batching, build, program
  from gan_jax.metrics import modes
  from gan_jax.study import population

  law = densities.POINTS[config.data.name]
  game = program.open_game(config)
  sampler = build.make_sampler(config, game.spec, 2500)
  counts = []
  for i in range(len(population.members(config))):
    member = batching.take(snapshot.state, i)
    blocks = sampler.samples(member, jax.random.key(0))
    x = jnp.concatenate([batch.x for batch in blocks])
    coverage = modes.mode_coverage(x, jnp.asarray(law.modes), law.mode_std)
    counts.append(float(coverage.modes))
  return counts


def main() -> None:
  if _OUT.value is None:
    raise ValueError('--out=FILE must be given')
  out = pathlib.Path(_OUT.value)
  whole.check_file('out', out)
  from gan_jax.engine import spectrum
  from gan_jax.game import dynamics
  from gan_jax.report import spectra
  from gan_jax.study import statistics

  drawn, games = [], _games()
  titles = ('modes', *dynamics.SpectrumShape._fields)
  sheet = printed.Sheet({'': 16} | dict.fromkeys(titles, 22))
  for name, config in games.items():
    steps, shapes = [], []
    for snapshot in spectrum.train(config, _EVERY.value, _SAMPLES.value):
      steps.append(snapshot.step)
      shapes.append(
        [dynamics.shape(eigenvalues) for eigenvalues in snapshot.spectra]
      )
      last = snapshot
      if snapshot.step == config.steps:
        modes = statistics.estimate('modes', _modes(config, snapshot))
    figures = {
      field: [
        statistics.estimate(field, [getattr(s, field) for s in at])
        for at in shapes
      ]
      for field in dynamics.SpectrumShape._fields
    }
    sheet.add(name, f'{modes}', *(f'{figures[x][-1]}' for x in figures))
    drawn.append(spectra.Spectrum(name, last.spectra, steps, figures))
  spectra.save(out, drawn)
  sheet.write()
  print(out)


if __name__ == '__main__':
  launch.run(main)
