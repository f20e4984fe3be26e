"""What augmentations cost, as shares of a training step.

  python -m experiments.benchmarks.augment_time --json=out.json

Times a step of `--suite` and, in turn with it, what a step augments: D's real
samples, its generated ones, and G's with the gradient back to them. A share is
the median over the rounds of the second over the first. Compiled into the step
an augmentation costs about as much: nothing of it is shared.

With PyTorch (the extra `benchmark`) and `--checkout`, one of
https://github.com/NVlabs/stylegan2-ada-pytorch, its pipeline does the same to
images of the same shape, for the policies of ADA.
"""

import functools
import importlib
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from absl import flags

from experiments import launch
from experiments.benchmarks import medians, results, suites

_SUITE = flags.DEFINE_enum(
  'suite', 'dcgan_32', [n for n, s in suites.SUITES.items() if s.shape],
  'Which game of images.'
)  # fmt: skip
_POLICIES = flags.DEFINE_list(
  'policies', 'diffaugment,ada.b,ada.bg,ada.bgc,ada.bgcfnc,r3gan',
  'Names of augment.policy.',
)  # fmt: skip
_STRENGTH = flags.DEFINE_float('strength', 1.0, 'p.', lower_bound=0.0)
_ROUNDS = flags.DEFINE_integer('rounds', 7, 'Turns of each.', lower_bound=1)
_CHECKOUT = flags.DEFINE_string('checkout', None, "ADA's authors' code.")

# The switches of the authors' code, by ours.
_LETTERS = {
  'b': ('xflip', 'rotate90', 'xint'),
  'g': ('scale', 'rotate', 'aniso', 'xfrac'),
  'c': ('brightness', 'contrast', 'lumaflip', 'hue', 'saturation'),
  'f': ('imgfilter',),
  'n': ('noise',),
}


def _ours(policy: str, shape: tuple[int, ...], p: float) -> Callable[[], None]:
  """What a step augments, compiled."""
  import jax
  import jax.numpy as jnp

  from gan_jax.engine import compiler, names
  from gan_jax.game import augment

  pipeline = names.POLICIES[policy]
  assert pipeline is not None
  images = jax.random.uniform(jax.random.key(0), (4, *shape), minval=-1.0)

  def step(images: jax.Array, key: jax.Array) -> Any:
    keys = jax.random.split(key, 3)
    strength = jnp.float32(p)
    out = [
      augment.augment(pipeline, images[i], keys[i], strength) for i in (0, 1)
    ]
    through, pull = jax.vjp(
      lambda x: augment.augment(pipeline, x, keys[2], strength), images[2]
    )
    return out, through, pull(images[3])

  key = jax.random.key(1)
  compiled = compiler.compile(jax.jit(step), images, key)
  return lambda: jax.block_until_ready(compiled(images, key))


def _theirs(
  policy: str, shape: tuple[int, ...], p: float, checkout: str | None
) -> Any:
  """The same by the authors' code; None where they have no such policy."""
  if not checkout or not policy.startswith('ada.'):
    return None
  import torch

  if checkout not in sys.path:
    sys.path.insert(0, checkout)
  augment = importlib.import_module('training.augment')
  letters = policy.removeprefix('ada.')
  switches = [s for x in letters[:5] for s in _LETTERS[x]]
  switches += ['cutout'] * (letters.count('c') > 1)
  pipe = augment.AugmentPipe(**dict.fromkeys(switches, 1))
  pipe.p.fill_(p)
  n, h, w, c = shape
  images = torch.rand((4, n, c, h, w)) * 2 - 1

  def step() -> None:
    with torch.no_grad():
      pipe(images[0])
      pipe(images[1])
    x = images[2].clone().requires_grad_()
    torch.autograd.grad(pipe(x), x, images[3])

  return step


def _milliseconds(call: Callable[[], None], steps: int) -> float:
  """A step's."""
  began = time.monotonic()
  call()
  return 1e3 * ((time.monotonic() - began) / steps)


def measure(
  suite: str,
  policies: list[str],
  p: float,
  rounds: int,
  checkout: str | None = None,
) -> dict[str, Any]:
  """The figures; see the module's docstring."""
  from experiments.benchmarks import jax_games

  game_suite = suites.SUITES[suite]
  config = game_suite.config()
  shape = (config.batch_size, *game_suite.shape)
  game = jax_games.Game(game_suite)
  calls: dict[str, Callable[[], None]] = {'step': game.play}
  for policy in policies:
    calls[policy] = _ours(policy, shape, p)
    theirs = _theirs(policy, shape, p, checkout)
    if theirs is not None:
      calls[f'torch {policy}'] = theirs
  turns = {
    name: functools.partial(
      _milliseconds, call, game.length if name == 'step' else 1
    )
    for name, call in calls.items()
  }
  times = medians.take_turns(turns, rounds)
  shares = {
    name: statistics.median(
      a / step for a, step in zip(taken, times['step'], strict=True)
    )
    for name, taken in times.items()
  }
  return {
    'suite': suite, 'p': p, 'batch': shape, 'rounds_ms': times,
    'ms': {name: statistics.median(taken) for name, taken in times.items()},
    'shares': shares,
  }  # fmt: skip


def main() -> None:
  from gan_jax.config import values
  from gan_jax.engine import names

  for policy in _POLICIES.value:
    if not policy:
      raise ValueError('--policies: nothing is augmented by one without a name')
    values.choose('--policies', policy, names.POLICIES)
  figures = measure(
    _SUITE.value,
    _POLICIES.value,
    _STRENGTH.value,
    _ROUNDS.value,
    _CHECKOUT.value,
  )
  for name, share in figures['shares'].items():
    print(f'{name:20} {figures["ms"][name]:8.1f} ms  {share:6.1%} of a step')
  results.write(figures)


if __name__ == '__main__':
  launch.run(main)
