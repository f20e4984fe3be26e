"""Separable against relativistic losses in the n-point game, from collapse.

  python -m experiments.landscape --out=docs/landscape.png \
    --fill=docs/results.md:landscape

Sun et al. 2020: all generated points begin near one of the n real ones. On the
way of one of them to another real point D's best loss, which G raises, first
falls in the original GAN (a bad basin). In the relativistic paired GAN there is
a way on which it never falls: that of a point whose pair is another real one.
Left: these ways, D at its optimum in closed form (game/points.py). Right: the
game played by free points against an MLP, the first seeds. Printed: D's loss at
collapse in closed form; its median as measured while all points are there; how
many seeds cover all real points at the end, with the exact 95 % interval of
their share, and how many are still at collapse; and the step at which half of
all seeds had come to cover them for the first time.
"""

import pathlib
from typing import TYPE_CHECKING

from absl import flags

from experiments import launch, printed
from gan_jax.storage import whole

if TYPE_CHECKING:
  import jax
  import numpy as np

  from gan_jax import types
  from gan_jax.game import losses

_OUT = flags.DEFINE_string('out', None, 'The png to write.')
_POINTS = flags.DEFINE_integer('points', 2, 'Real points, n.', lower_bound=2)
_STEPS = flags.DEFINE_integer('steps', 10_000, 'Updates of G.', lower_bound=100)
_SEEDS = flags.DEFINE_integer('seeds', 20, 'Initial D and G.', lower_bound=2)
_WIDTH = flags.DEFINE_integer(
  'width', 32, 'Of D, two hidden layers.', lower_bound=1
)
_APART = flags.DEFINE_float('apart', 2.0, 'Between neighbouring real points.')
_GEN_RATE = flags.DEFINE_float('gen_rate', 0.001, "Adam's, of G's points.")
_DISC_RATE = flags.DEFINE_float('disc_rate', 0.01, "Adam's, of D.")


def _played(real: 'jax.Array', loss: 'losses.GanLoss') -> 'types.Pair':
  """Of each seed G's points `[S, T, n]` and D's loss `[S, T]`."""
  import jax
  import optax

  from gan_jax import types
  from gan_jax.game import dynamics, rules
  from gan_jax.networks import adapter, mlp

  settings = mlp.DiscSettings(width=_WIDTH.value, depth=2)
  module = mlp.Discriminator(settings=settings)
  network = adapter.as_network(module, types.Batch(real))
  rates = _GEN_RATE.value, _DISC_RATE.value
  adam = types.Pair(*(optax.adam(rate, b1=0.5) for rate in rates))

  def play(key: jax.Array) -> types.Pair:
    gen_key, disc_key = jax.random.split(key)
    params, vars = network.init(disc_key)

    def logits(params: types.PyTree, x: jax.Array) -> jax.Array:
      batch = types.Batch(x)
      return network.apply(params, vars, batch, key=key, mode=types.TRAIN)[0]

    def of(side: 'losses.LossFn') -> types.PyTree:
      return lambda gen, disc: side(
        real=logits(disc, real), fake=logits(disc, gen)
      )

    game = rules.exact(of(loss.gen), of(loss.disc))
    points = 0.05 * jax.random.normal(gen_key, (len(real), 1))
    begin = types.Pair(points, params)
    path = dynamics.play(rules.ALTERNATING, game, adam, begin, {}, _STEPS.value)
    return types.Pair(path.gen[..., 0], jax.vmap(of(loss.disc))(*path))

  keys = jax.random.split(jax.random.key(0), _SEEDS.value)
  played: types.Pair = jax.jit(jax.vmap(play))(keys)
  return played


def _measured(
  real: 'jax.Array', points: 'np.ndarray', costs: 'np.ndarray'
) -> list[str]:
  """D's loss while all points are at the first; how many seeds come to all.

  Args:
    real: `[n, 1]`.
    points: G's, `[S, T, n]`.
    costs: D's loss, `[S, T]`.

  Returns:
    Cells of a table.
  """
  import numpy as np
  from scipy import stats

  distance = np.abs(points[..., None, :] - np.asarray(real))  # [S, T, n, n]
  near = distance < _APART.value / 4
  there = near[:, :, 0].all(axis=-1)
  there[:, : _STEPS.value // 100] = False
  at_ends = near.any(axis=-1).all(axis=-1)
  done, stayed = at_ends[:, -1], near[:, -1, 0].all(axis=-1)
  seeds = len(done)
  share = stats.binomtest(int(done.sum()), seeds).proportion_ci()
  # Those that never come are later than all.
  first = np.where(at_ends.any(axis=1), at_ends.argmax(axis=1), np.inf)
  half = np.sort(first)[(seeds - 1) // 2]
  measured = np.median(costs[there]) if there.any() else np.nan
  return [
    f'{measured:.4f}',
    f'{done.sum()} of {seeds} ({share.low:.0%} to {share.high:.0%})',
    f'{stayed.sum()} of {seeds}',
    f'{half:,.0f}' if np.isfinite(half) else f'> {_STEPS.value:,}',
  ]


def main() -> None:
  positive = min(_APART.value, _GEN_RATE.value, _DISC_RATE.value) > 0
  if _OUT.value is None or not positive:
    raise ValueError(
      '--out=FILE must be given, and --apart, --gen_rate and --disc_rate be '
      'positive'
    )
  whole.check_file('out', _OUT.value)
  import jax.numpy as jnp
  import numpy as np

  from gan_jax.game import losses, points
  from gan_jax.report import charts

  n = _POINTS.value
  real = _APART.value * jnp.arange(n, dtype=jnp.float32)[:, None]
  collapsed: list[int | None] = [0] * n
  # Of the last point, and of the one whose pair is the real one they lie on.
  ways = (collapsed, [*collapsed[:-1], None], [*collapsed[:-1], n - 1])
  other = (collapsed, [None, *collapsed[1:]], [n - 1, *collapsed[1:]])
  lines, walks = {}, {}
  sheet = printed.Sheet({
    '': 14, 'loss of D, closed form': 24, 'in the game': 13,
    'all points covered': 24, 'at collapse': 13, 'half of them by step': 22,
  })  # fmt: skip
  for name, loss, value, scale in (
    ('separable', losses.NON_SATURATING, points.separable_loss, 0.5),
    ('relativistic', losses.RELATIVISTIC_PAIRED, points.paired_loss, 1.0),
  ):
    played = _played(real, loss)
    costs = scale * np.asarray(played.disc)
    cells = _measured(real, np.asarray(played.gen), costs)
    sheet.add(name, f'{value(collapsed):.4f}', *cells)
    walks[name] = [value(way) for way in ways]
    lines[name] = costs
  walks['the paired point'] = [points.paired_loss(way) for way in other]
  charts.save_landscape(pathlib.Path(_OUT.value), walks, lines)
  sheet.write()
  print(_OUT.value)


if __name__ == '__main__':
  launch.run(main)
