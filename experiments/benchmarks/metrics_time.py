"""Times metrics against the matrix products that they cannot do without.

  python -m experiments.benchmarks.metrics_time --json=out.json

`frechet` is mean and covariance of `--features` features of `--samples`
samples, against one [D, N] x [N, D] product in float32 of two matrices
(`product`), and against the same of a matrix with itself (`symmetric`), half of
whose entries the library does not compute. `manifolds` is precision, recall,
density and coverage of two sets of `--rows` samples, against the three tables
of products it needs (`products`), and those with the k nearest of each row of
two of them (`selection`). `discrepancy` is CMMD's distance of two such sets
against the same three tables, `authenticity` against the two that it needs.
`perceive` is what a vision transformer (DINOv2's, random weights) of `--width`
and `--depth` sees in `--images` of 32x32, from uint8's range to features on the
host, against its bare forward pass of images that are resized already
(`forward`).

Contestants take turns, after a round that does not count, so that a slow spell
of the machine meets all; figures are medians of seconds. `cpu` are seconds of
processor time, which other programs disturb less.
"""

import functools
import statistics
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from absl import flags

from experiments import launch
from experiments.benchmarks import medians, results

if TYPE_CHECKING:
  import jax

_SAMPLES = flags.DEFINE_integer('samples', 50_000, 'N.', lower_bound=2)
_FEATURES = flags.DEFINE_integer('features', 2048, 'D.', lower_bound=1)
_ROWS = flags.DEFINE_integer('rows', 10_000, 'Of each set.', lower_bound=6)
_WIDTH = flags.DEFINE_integer('width', 384, 'Of tokens.', lower_bound=64)
_DEPTH = flags.DEFINE_integer('depth', 12, 'Blocks.', lower_bound=1)
_IMAGES = flags.DEFINE_integer('images', 64, 'Seen.', lower_bound=1)
_ROUNDS = flags.DEFINE_integer('rounds', 5, 'Turns of each.', lower_bound=1)

Contestants = dict[str, Callable[[], Any]]


def _seconds(play: Callable[[], Any]) -> tuple[float, float]:
  """Wall seconds and the processor's."""
  import jax

  wall, cpu = time.perf_counter(), time.process_time()
  jax.block_until_ready(play())
  return time.perf_counter() - wall, time.process_time() - cpu


def frechet_contestants(samples: int, features: int) -> Contestants:
  import numpy as np

  from gan_jax.metrics import frechet

  rng = np.random.default_rng(0)
  x = rng.standard_normal((samples, features), dtype=np.float32)
  y = x.copy()
  return {
    'ours': lambda: frechet.statistics(x),
    'product': lambda: x.T @ y,
    'symmetric': lambda: x.T @ x,
  }


def _sets(rows: int, features: int) -> 'tuple[jax.Array, jax.Array]':
  import jax

  one, other = (
    jax.random.normal(jax.random.key(i), (rows, features)) for i in range(2)
  )
  return one, other


def _tables(*pairs: 'tuple[jax.Array, jax.Array]') -> Callable[[], Any]:
  """Makes the products of all rows, 512 at a time."""
  import jax

  product = jax.jit(lambda a, b: a @ b.T)

  def tables() -> Any:
    out: Any = None
    for x, y in pairs:
      for start in range(0, len(x), 512):
        out = product(x[start : start + 512], y)
      jax.block_until_ready(out)
    return out

  return tables


def discrepancy_contestants(rows: int, features: int) -> Contestants:
  from gan_jax.metrics import discrepancy

  a, b = _sets(rows, features)
  return {
    'ours': lambda: discrepancy.discrepancy(a, b),
    'products': _tables((a, a), (b, b), (a, b)),
  }


def authenticity_contestants(rows: int, features: int) -> Contestants:
  from gan_jax.metrics import authenticity

  fake, train = _sets(rows, features)
  return {
    'ours': lambda: authenticity.authenticity(fake, train),
    'products': _tables((fake, train), (train, train)),
  }


def perceive_contestants(width: int, depth: int, images: int) -> Contestants:
  import jax
  import jax.numpy as jnp
  import numpy as np

  from gan_jax.evaluation import dinov2, features, vit

  settings = vit.Settings(
    width, depth, width // vit.HEAD, 14, 1e-6, scaled=True
  )
  network = vit.Vit(settings)
  side = dinov2.SIDE
  ready = jnp.zeros((images, side, side, 3))
  params = jax.jit(network.init)(jax.random.key(0), ready[:1])['params']
  apply = functools.partial(dinov2.apply, settings=settings)
  extractor = features.Extractor('vit', '', params, jax.jit(apply))
  rng = np.random.default_rng(0)
  x = rng.uniform(-1, 1, (images, 32, 32, 3)).astype(np.float32)
  size = min(64, images)
  bare = jax.jit(lambda params, x: network.apply({'params': params}, x))
  return {
    'ours': lambda: list(features.extract(extractor, x, batch_size=size)),
    'forward': lambda: [
      jax.block_until_ready(bare(params, ready[start : start + size]))
      for start in range(0, images, size)
    ],
  }


def manifold_contestants(rows: int, features: int) -> Contestants:
  import jax

  from gan_jax.metrics import prdc

  real, fake = _sets(rows, features)
  product = jax.jit(lambda a, b: a @ b.T)
  both = jax.jit(lambda a, b: jax.lax.top_k(a @ b.T, 5)[0])

  def tables(select: bool) -> Any:
    out: Any = None
    for x, y in ((real, real), (fake, fake), (real, fake)):
      table = both if select and x is y else product
      for start in range(0, rows, 512):
        out = table(x[start : start + 512], y)
      jax.block_until_ready(out)
    return out

  return {
    'ours': lambda: prdc.manifolds(real, fake),
    'products': lambda: tables(False),
    'selection': lambda: tables(True),
  }


def main() -> None:
  games = {
    'frechet': frechet_contestants(_SAMPLES.value, _FEATURES.value),
    'manifolds': manifold_contestants(_ROWS.value, _FEATURES.value),
    'discrepancy': discrepancy_contestants(_ROWS.value, _FEATURES.value),
    'authenticity': authenticity_contestants(_ROWS.value, _FEATURES.value),
    'perceive': perceive_contestants(_WIDTH.value, _DEPTH.value, _IMAGES.value),
  }
  record: dict[str, Any] = {
    'samples': _SAMPLES.value,
    'features': _FEATURES.value,
    'rows': _ROWS.value,
    'width': _WIDTH.value,
    'depth': _DEPTH.value,
    'images': _IMAGES.value,
    'rounds': _ROUNDS.value,
  }
  for game, contestants in games.items():
    turns = {
      name: functools.partial(_seconds, play)
      for name, play in contestants.items()
    }
    times = medians.take_turns(turns, _ROUNDS.value)
    for i, kind in enumerate(('wall', 'cpu')):
      middles = {
        name: statistics.median(pair[i] for pair in pairs)
        for name, pairs in times.items()
      }
      for name, seconds in middles.items():
        ratio = middles['ours'] / seconds
        record[f'{game}_{name}_{kind}_s'] = seconds
        record[f'{game}_ours_over_{name}_{kind}'] = ratio
        print(
          f'{game:12s} {name:10s} {kind:5s} {seconds:7.3f} s, '
          f'ours takes {ratio:.2f} times as long'
        )
    record[f'{game}_rounds_s'] = times
  results.write(record)


if __name__ == '__main__':
  launch.run(main)
