"""Spectral normalisation (Miyato et al. 2018, algorithm 1).

    v <- W^T u / |W^T u|,  u <- W v / |W v|,  sigma = u^T W v,  W / sigma

A weight is divided by an estimate of its largest singular value. W has a row
for each output; of an embedding, for each class. It is a change of parameters
and not of layers: the network is applied to the normalised tree. The vectors
live in `vars['spectral']`. They are constants; sigma is differentiated through
W. They move once in an update of their own player, before anything is computed,
so that all passes of that update see one function, and nowhere else.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import traverse_util

from gan_jax import types

# Leaves of a parameter tree by their paths: ('Conv_0', 'kernel').
ParamPath = tuple[str, ...]

# So that a network that has not been trained is normalised, too.
_FIRST = 15


class Norm(NamedTuple):
  """Which weights of a network are normalised, and how.

  Attributes:
    chosen: of the path of a weight. Weights are leaves called `kernel` or
      `embedding`; biases and gains are none.
    iterations: of the power method in each update.
    eps: the least norm that is divided by.
  """

  chosen: Callable[[ParamPath], bool] = lambda path: True
  iterations: int = 1
  eps: float = 1e-12


class Vectors(NamedTuple):
  """Estimates of a weight's first singular vectors.

  Attributes:
    u: `[rows of W]`, the left one.
    v: `[columns of W]`, the right one.
  """

  u: jax.Array
  v: jax.Array


def norm_if(
  on: bool,
  chosen: Callable[[ParamPath], bool] = lambda path: True,
  iterations: int = 1,
) -> Norm | None:
  """What a network's property `spectral` says, by its settings."""
  return Norm(chosen, iterations) if on else None


def _matrix(path: ParamPath, weight: jax.Array) -> jax.Array:
  """W: a row for each output channel, or for each class of an embedding."""
  if path[-1] == 'embedding':
    return weight
  return weight.reshape(-1, weight.shape[-1]).T


def _unit(x: jax.Array, eps: float) -> jax.Array:
  return x / jnp.maximum(jnp.linalg.norm(x), eps)


# Exact, also where products are of bfloat16 by default.
_product = functools.partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)


def _iterate(w: jax.Array, vectors: Vectors, times: int, eps: float) -> Vectors:
  """So many iterations of the power method; nothing is differentiated."""
  w = jax.lax.stop_gradient(w)

  def once(_: int, vectors: Vectors) -> Vectors:
    v = _unit(_product(w.T, vectors.u), eps)
    return Vectors(_unit(_product(w, v), eps), v)

  if times == 1:
    return once(0, vectors)
  moved: Vectors = jax.lax.fori_loop(0, times, once, vectors)
  return moved


def init(norm: Norm, params: types.PyTree, key: jax.Array) -> types.PyTree:
  """`vars['spectral']` of new parameters: the vectors of each chosen weight."""
  vectors = {}
  for i, (path, weight) in enumerate(
    traverse_util.flatten_dict(params).items()
  ):
    if path[-1] not in ('kernel', 'embedding') or not norm.chosen(path):
      continue
    w = _matrix(path, weight)
    u = jax.random.normal(jax.random.fold_in(key, i), w.shape[:1])
    start = Vectors(_unit(u, norm.eps), jnp.zeros(w.shape[1:]))
    vectors[path] = _iterate(w, start, _FIRST, norm.eps)._asdict()
  made: types.PyTree = traverse_util.unflatten_dict(vectors)
  return made


def _vectors(spectral: types.PyTree) -> dict[ParamPath, Vectors]:
  """By the paths of their weights."""
  flat = traverse_util.flatten_dict(spectral)
  paths = dict.fromkeys(path[:-1] for path in flat)
  return {path: Vectors(flat[*path, 'u'], flat[*path, 'v']) for path in paths}


def advance(
  norm: Norm, params: types.PyTree, spectral: types.PyTree
) -> types.PyTree:
  """`vars['spectral']` of this update."""
  weights = traverse_util.flatten_dict(params)
  moved = {
    path: _iterate(
      _matrix(path, weights[path]), old, norm.iterations, norm.eps
    )._asdict()
    for path, old in _vectors(spectral).items()
  }
  made: types.PyTree = traverse_util.unflatten_dict(moved)
  return made


def normalise(params: types.PyTree, spectral: types.PyTree) -> types.PyTree:
  """The parameters, each weight that has vectors divided by its sigma."""
  weights = dict(traverse_util.flatten_dict(params))
  for path, vectors in _vectors(spectral).items():
    u, v = map(jax.lax.stop_gradient, vectors)
    sigma = _product(u, _product(_matrix(path, weights[path]), v))
    weights[path] = weights[path] / sigma
  made: types.PyTree = traverse_util.unflatten_dict(weights)
  return made


def is_kernel(path: ParamPath) -> bool:
  """Chooses kernels, and no embeddings."""
  return path[-1] == 'kernel'
