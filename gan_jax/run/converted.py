"""A run made of networks that their authors' code has trained and saved."""

import dataclasses
import functools
import pathlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from gan_jax import types
from gan_jax.config import fields as configs, values
from gan_jax.data import opening, source as sources
from gan_jax.engine import build
from gan_jax.game import state as states
from gan_jax.networks import authors, authors_biggan, spectral
from gan_jax.storage import (
  checkpoint,
  history,
  torch_files,
  weights,
  whole,
  workdir as workdirs,
)
from gan_jax.study import population

# The generators of a snapshot: the one that is trained, and its average.
_GENERATORS = 'G', 'G_ema', 'ema'
# Remarks.
_ONE_GENERATOR = 'it has one generator, {}: both are that'
_NO_DISC = 'it has no D: that has random weights'


class Part(NamedTuple):
  """A network of a snapshot.

  Attributes:
    name: what a message calls it.
    arrays: its state_dict.
  """

  name: str
  arrays: authors.Arrays


class Snapshot(NamedTuple):
  """What one file holds, or several of one training.

  Attributes:
    model: how its networks were made.
    gen: the generator that is trained, or else the average.
    average: the averaged generator, or else the one that is trained.
    disc: the discriminator, or None.
    files: that it was read from.
    remarks: what is not taken over as it is there, a line for each.
  """

  model: authors.Model
  gen: Part
  average: Part
  disc: Part | None
  files: tuple[pathlib.Path, ...]
  remarks: tuple[str, ...]


def read(path: pathlib.Path) -> Snapshot:
  """A snapshot of StyleGAN2's, StyleGAN3's or R3GAN's code in PyTorch.

  Raises:
    ValueError: it cannot be read, or ours have no such networks.
  """
  found = {
    name: network
    for name, network in torch_files.read_snapshot(path).items()
    if name in (*_GENERATORS, 'D')
  }
  there = [name for name in _GENERATORS if name in found]
  if not there:
    raise ValueError(f'{path}: has no network G or G_ema')
  live, average = found[there[0]], found[there[-1]]
  disc = found.get('D')
  try:
    model = authors.recognise(live, disc)
  except (ArithmeticError, AttributeError, LookupError, TypeError) as error:
    raise ValueError(
      f'{path}: its networks are not as their authors make them ({error!r})'
    ) from None
  except ValueError as error:
    raise ValueError(f'{path}: {error}') from None
  remarks = []
  if len(there) == 1:
    remarks.append(_ONE_GENERATOR.format(there[0]))
  if disc is None:
    remarks.append(_NO_DISC)
  if model.ignored:
    told = ', '.join(f'{k}={v}' for k, v in model.ignored.items())
    remarks.append(
      f'left out (here all is in float32, averages move as set): {told}'
    )
  if any(name.endswith('noise_const') for name in live.arrays):
    remarks.append('left out: noise_const; noise is drawn afresh')
  return Snapshot(
    model,
    Part(there[0], live.arrays),
    Part(there[-1], average.arrays),
    Part('D', disc.arrays) if disc else None,
    (path,),
    tuple(remarks),
  )


class Files(NamedTuple):
  """The state_dicts of one training; None for what there is not.

  Attributes:
    gen: the generator that is trained.
    gen_ema: its average.
    disc: the discriminator.
  """

  gen: pathlib.Path | None
  gen_ema: pathlib.Path | None
  disc: pathlib.Path | None


def read_weights(files: Files, config: configs.Config) -> Snapshot:
  """BigGAN, BigGAN-deep or SAGAN, as ajbrock/BigGAN-PyTorch saves them.

  Args:
    files: at least one generator.
    config: how the networks were made. `data.size` and `data.channels` may be
      0, which is those of the files.

  Raises:
    ValueError: a file cannot be read, or the configuration is of other
      networks. What is wrong with single arrays is found by `make_run`.
  """
  gen, average, disc = (_read_part(path) for path in files)
  live = gen or average
  if live is None:
    raise ValueError('a G or its average is needed')
  _check_networks(config, disc is not None)
  try:
    shape = authors_biggan.shape_of(config.gen.net, live.arrays)
    _check_images(config, shape)
    model = authors_biggan.recognise(
      config.gen.net,
      live.arrays,
      config.disc.net if disc else None,
      config.gen.latent_dim,
    )
  except TypeError:
    raise ValueError(f'{live.name}: an array has no axes') from None
  except ValueError as error:
    raise ValueError(f'{live.name}: {error}') from None
  remarks = []
  if gen is None or average is None:
    remarks.append(_ONE_GENERATOR.format(pathlib.Path(live.name).name))
  else:
    remarks.append(
      "running statistics and u0 are the average's, for both generators"
    )
  if disc is None:
    remarks.append(_NO_DISC)
  average = average or live
  return Snapshot(
    model,
    live,
    average,
    disc,
    tuple(path for path in files if path),
    (*remarks, *authors_biggan.remarks(average.arrays)),
  )


def _read_part(path: pathlib.Path | None) -> Part | None:
  if path is None:
    return None
  arrays = torch_files.read_state_dict(path)
  return Part(str(path), authors_biggan.settled(arrays))


def _check_networks(config: configs.Config, has_disc: bool) -> None:
  """Raises ValueError unless they are some that this code has."""
  name, known = config.gen.name, authors_biggan.NETWORKS
  if name not in known:
    raise ValueError(
      f'gen.name={name}: the networks of that code are {" and ".join(known)}'
    )
  if has_disc and config.disc.name != name:
    raise ValueError(f'disc.name={config.disc.name}: D is of gen.name={name}')
  if not config.conditional:
    raise ValueError(
      'conditional=False: the networks of that code are of classes; set '
      'conditional=True'
    )


def _check_images(config: configs.Config, shape: tuple[int, ...]) -> None:
  side, _, channels = shape
  for field, own in (('size', side), ('channels', channels)):
    given = getattr(config.data, field)
    if given and given != own:
      raise ValueError(
        f'data.{field}={given}: by its arrays it is {own}; set '
        f'data.{field}={own}'
      )


def configure(config: configs.Config, model: authors.Model) -> configs.Config:
  """The configuration with the networks of a snapshot; changed in place.

  D is as the configuration has it where the snapshot has none, and so is of
  both what changes no sample (`net.remat`, `gen.net.mixing`).

  Raises:
    ValueError: it is of several runs, or of no images of one kind.
  """
  if population.is_population(config):
    raise ValueError('population: what is converted is a single run')
  if config.data.name in opening.WITHOUT_FILES or config.data.stack > 1:
    raise ValueError(
      f'data.name={config.data.name!r}, data.stack={config.data.stack}: must '
      'be a folder of images or a set of TFDS, as they are'
    )
  config.init_from = config.branch_from = ''
  config.gen.net = _kept(config.gen.net, model.gen)
  config.gen.name = model.network
  if model.disc is not None:
    config.disc.net = _kept(config.disc.net, model.disc)
    config.disc.name = model.network
  config.gen.latent_dim, config.gen.latent = model.latent_dim, 'normal'
  config.conditional = bool(model.classes)
  config.data.size, config.data.channels = model.shape[0], model.shape[-1]
  return config


# Settings of networks that no file tells, and no sample depends on.
_UNTOLD = 'remat', 'mixing', 'magnitude_half_life'


def _kept(own: Any, found: Any) -> Any:
  """Settings of a snapshot, with what it cannot tell as it was."""
  if type(own) is not type(found):
    return found
  kept = {name: getattr(own, name) for name in _UNTOLD if hasattr(own, name)}
  return dataclasses.replace(found, **kept)


def make_run(
  snapshot: Snapshot, config: configs.Config, out: pathlib.Path
) -> states.GanState:
  """Makes a run whose first checkpoint, of step 0, has these networks.

  Optimisers and all that terms and rules remember are as at the start of a run.

  Args:
    snapshot: what is taken over; the run's history names its files.
    config: from `configure`.
    out: a new folder.

  Returns:
    The state.

  Raises:
    ValueError: `out` is there already or cannot be written, or an array is
      missing or has another shape.
  """
  if out.exists():
    raise ValueError(f'--out={out}: is there already')
  workdirs.check_local(out)
  model, classes = snapshot.model, snapshot.model.classes
  info = sources.Info(
    'images',
    model.shape,
    class_names=tuple(map(str, range(classes))),
    class_shares=(1 / classes,) * classes if classes else (),
  )
  state = _first_state(config, info, snapshot)
  facts = {
    'rows': 0,
    'config': values.to_dict(config),
    'fingerprint': '',
    **workdirs.provenance(),
  }
  _make_parent(out)
  with (
    whole.folder(out) as part,
    workdirs.claim(part, config, info),
    checkpoint.Checkpoints(part, config.checkpoint) as saved,
  ):
    (part / 'metrics.jsonl').touch()
    for path in snapshot.files:
      history.add(
        part, 'convert', 0, file=path.name, sha256=weights.sha256(path)
      )
    saved.save(state, facts, {})
  return state


def _make_parent(out: pathlib.Path) -> None:
  try:
    out.parent.mkdir(parents=True, exist_ok=True)
  except OSError as error:
    raise ValueError(
      f'--out={out}: cannot be written ({error.strerror})'
    ) from None


def _first_state(
  config: configs.Config, info: sources.Info, snapshot: Snapshot
) -> states.GanState:
  spec, hyper = build.make_spec(config, info), build.make_hyper(config)
  key = jax.random.key(config.seed)
  init = functools.partial(build.init_state, spec, hyper)
  # What does not fit is told before first weights are drawn, which takes long.
  filled = _filled(jax.eval_shape(init, key), snapshot)

  def is_open(leaf: object) -> bool:
    return isinstance(leaf, jax.ShapeDtypeStruct)

  leaves, form = jax.tree.flatten(filled)

  @jax.jit
  def others(key: jax.Array) -> list[jax.Array]:
    fresh = jax.tree.leaves(init(key))
    return [x for x, own in zip(fresh, leaves, strict=True) if is_open(own)]

  rest = iter(others(key))
  placed = [next(rest) if is_open(x) else jnp.asarray(x) for x in leaves]
  state: states.GanState = jax.tree.unflatten(form, placed)
  # Slow weights are those that were taken over.
  return state._replace(memory=state.memory | build.rule_memory(spec, state))


def _filled(state: states.GanState, snapshot: Snapshot) -> states.GanState:
  """A state of shapes with the arrays that a snapshot has."""
  layouts = snapshot.model.layouts
  live = take_over(state.gen, layouts.gen, snapshot.gen)
  average = take_over(state.gen, layouts.gen, snapshot.average)
  # There is one set of running averages here. StyleGAN's authors copy G's to
  # G_ema at every step, BigGAN's average them; a file may have G_ema alone.
  state = state._replace(
    gen=live._replace(vars=average.vars), gen_ema=average.params
  )
  if snapshot.disc is None:
    return state
  return state._replace(disc=take_over(state.disc, layouts.disc, snapshot.disc))


def take_over(
  net: states.NetState, layout: authors.Layout, part: Part
) -> states.NetState:
  """A player with the parameters and the `vars` of a snapshot.

  Args:
    net: arrays or their shapes.
    layout: of the network.
    part: the network in the snapshot.

  Raises:
    ValueError: an array is missing, has another shape, or has no place here.
  """
  vars = dict(net.vars)
  vectors = traverse_util.flatten_dict(vars.pop('spectral', {}))
  left = {path: x for path, x in vectors.items() if path[-1] == 'u'}
  trees = net.params, traverse_util.unflatten_dict(left), *vars.values()
  try:
    authors.check_constants(layout, part.arrays)
    params, us, *others = (
      authors.fill(tree, layout, part.arrays) for tree in trees
    )
  except ValueError as error:
    raise ValueError(f'{part.name}: {error}') from None
  if spare := authors.unused(trees, layout, part.arrays):
    told = ', '.join(spare[:3]) + ', and so on' * (len(spare) > 3)
    raise ValueError(f'{part.name}: there is nothing here for {told}')
  found = dict(zip(vars, others, strict=True))
  if vectors:
    # What else is there, v, is not read but made.
    start = {
      path: np.zeros(x.shape, x.dtype) for path, x in vectors.items()
    } | traverse_util.flatten_dict(us)
    found['spectral'] = _turned(params, traverse_util.unflatten_dict(start))
  return net._replace(params=params, vars=found)


@jax.jit
def _turned(params: types.PyTree, vectors: types.PyTree) -> types.PyTree:
  """`vars['spectral']` after one iteration.

  BigGAN's code iterates once more wherever it applies a network, and in
  evaluation forgets it. Here nothing moves in evaluation.
  """
  return spectral.advance(spectral.Norm(), params, vectors)
