"""A run's sampler as a folder that jax, numpy and flatbuffers load, and back.

The programs are StableHLO by `jax.export`, which keeps them loadable for months
and on other platforms. They contain no parameters: those are safetensors, and
an argument. Fast paths of `ops/` are calls that only this code knows, so that
the programs are traced without them.
"""

import dataclasses
import functools
import json
import pathlib
import sys
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from gan_jax import types
from gan_jax.config import values
from gan_jax.engine import build
from gan_jax.evaluation import evaluator
from gan_jax.game import sampling, spec as specs, state as states
from gan_jax.ops import cpu
from gan_jax.run import cards, trained
from gan_jax.storage import weights, workdir as workdirs

PLATFORMS = 'cpu', 'cuda', 'tpu'
# Raised by a change of the folder.
FORMAT = 1

MODEL = 'model.json'
_WEIGHTS = {name: f'{name}.safetensors' for name in ('gen', 'disc')}


class Programs(NamedTuple):
  """Both programs of a folder.

  Attributes:
    sample: `(weights, z[, label][, truncation]) -> images`.
    latents: `(seed, like[, truncation]) -> (z,)` or `(z, label)`, as many as
      `like` has values, which are not looked at.
  """

  sample: jax.export.Exported
  latents: jax.export.Exported


def _make_sample(
  spec: specs.Spec, *, classes: bool
) -> Callable[..., jax.Array]:
  """The function of `Programs.sample`, of flat weights; traceable."""
  noise = jax.random.fold_in(jax.random.key(0), 0)

  def sample(
    flat: Mapping[str, jax.Array], z: jax.Array, *rest: jax.Array
  ) -> jax.Array:
    tree = traverse_util.unflatten_dict(flat, sep='/')
    params, vars = tree['params'], tree.get('vars', {})
    latent = types.Latent(z, rest[0] if classes else None)
    if spec.gen.truncation != 'w':
      return sampling.generate(spec, params, vars, latent, noise)
    psi = rest[-1]
    w = sampling.intermediate(spec, params, vars, latent)
    moved = sampling.intermediate(spec, params, vars, latent, psi)
    # At psi = 1 the same bits as without.
    w = jnp.where(psi == 1, w, moved)
    return sampling.generate(spec, params, vars, w, noise, 'synthesise')

  return sample


def _make_latents(
  spec: specs.Spec,
) -> Callable[..., tuple[jax.Array, ...]]:
  """The function of `Programs.latents`; traceable.

  They are those of `experiments.sample`, up to 1,000 of them.
  """

  def latents(
    seed: jax.Array, like: jax.Array, *rest: jax.Array
  ) -> tuple[jax.Array, ...]:
    _, key = jax.random.split(jax.random.key(seed))
    own, count = jax.random.fold_in(key, 0), like.shape[0]
    latent = spec.eval_latent(own, count)
    if rest:
      (bound,) = rest
      near = sampling.truncated(latent, bound, own)
      latent = latent._replace(z=jnp.where(jnp.isinf(bound), latent.z, near.z))
    if latent.label is None:
      return (latent.z,)
    return latent.z, latent.label

  return latents


def _trace(run: trained.Run, flat: Mapping[str, np.ndarray]) -> Programs:
  """Both programs, for any number of samples and all platforms."""
  spec, shape = run.spec, jax.ShapeDtypeStruct
  (n,) = jax.export.symbolic_shape('n')
  classes = bool(build.count_classes(run.config, run.info))
  stored = {name: shape(x.shape, x.dtype) for name, x in flat.items()}
  z = shape((n, run.config.gen.latent_dim), jnp.float32)
  label = [shape((n,), jnp.int32)] if classes else []
  psi, bound = (
    [shape((), jnp.float32)] if spec.gen.truncation == of else []
    for of in ('w', 'latent')
  )
  trace = functools.partial(jax.export.export, platforms=PLATFORMS)
  with cpu.stock():
    sample = trace(jax.jit(_make_sample(spec, classes=classes)))
    latents = trace(jax.jit(_make_latents(spec)))
    seed, like = shape((), jnp.uint32), shape((n,), jnp.float32)
    return Programs(
      sample(stored, z, *label, *psi), latents(seed, like, *bound)
    )


def export(
  run: trained.Run,
  workdir: pathlib.Path,
  out: pathlib.Path,
  member: int | None = None,
) -> None:
  """Writes the folder: programs, weights of both players, and what they are.

  Its samples are G's of any z: D does not drive them (`eval.langevin_steps`).

  Args:
    run: from `trained.load`; its configuration says which generator.
    workdir: of the run, for its figures.
    out: an empty folder.
    member: which run of a population it is.
  """
  if steps := run.config.eval.langevin_steps:
    print(
      f'eval.langevin_steps={steps}: left out; an export has samples of z as '
      'it is',
      file=sys.stderr,
    )
    plain = dataclasses.replace(run.config.eval, langevin_steps=0)
    run = run._replace(config=dataclasses.replace(run.config, eval=plain))
  spec, config = run.spec, run.config
  build.check_alone(spec)
  params, vars = trained.generator(run)
  disc = run.state.disc
  trees = {
    'gen': {'params': params, 'vars': vars},
    'disc': {'params': disc.params, 'vars': disc.vars},
  }
  for name, tree in trees.items():
    weights.save(out / _WEIGHTS[name], jax.device_get(tree), {})
  programs = _trace(run, traverse_util.flatten_dict(trees['gen'], sep='/'))
  for name, program in programs._asdict().items():
    (out / f'{name}.stablehlo').write_bytes(program.serialize())
  model = {
    'format': FORMAT,
    'step': int(run.state.step),
    'truncation': spec.gen.truncation,
    'truncated_at': config.eval.truncation,
    'stamp': evaluator.generator_stamp(config, spec),
    'config': values.to_dict(config),
    'data': run.info._asdict(),
    'sessions': workdirs.sessions(workdir),
    'exported_with': workdirs.provenance(),
  }
  workdirs.write_json(out / MODEL, model)
  counts = {
    name: sum(x.size for x in jax.tree.leaves(tree['params']))
    for name, tree in trees.items()
  }
  (out / 'README.md').write_text(cards.card(run, workdir, counts, member))


def is_export(folder: pathlib.Path) -> bool:
  """Whether `export` has written it."""
  return (folder / MODEL).is_file()


def read(folder: pathlib.Path) -> states.GanState:
  """The weights of both players, as the state of a run has them.

  The generator that was exported is both the live one and the average.

  Raises:
    ValueError: a file is missing, damaged, or of another format.
  """
  try:
    model = json.loads((folder / MODEL).read_text())
    format, step = model['format'], int(model['step'])
  except (OSError, KeyError, TypeError, ValueError) as error:
    raise ValueError(f'{folder / MODEL}: cannot be read ({error})') from None
  if format != FORMAT:
    raise ValueError(
      f'{folder}: was exported in format {format}; this version reads {FORMAT}'
    )
  nets = []
  for name in ('gen', 'disc'):
    tree, _ = weights.load(folder / _WEIGHTS[name])
    tree = jax.tree.map(jnp.asarray, tree)
    nets.append(states.NetState(tree['params'], None, tree.get('vars', {})))
  gen, disc = nets
  # Buffers of its own, for a chunk takes over those of the whole state.
  average = jax.tree.map(jnp.copy, gen.params)
  return states.GanState(jnp.int32(step), gen, disc, average, {})
