"""A run made of networks that their authors' code has trained and saved."""

import pathlib
from typing import NamedTuple

import jax

from gan_jax.config import fields as configs, values
from gan_jax.data import source as sources
from gan_jax.engine import build
from gan_jax.game import state as states
from gan_jax.networks import authors
from gan_jax.storage import (
  checkpoint,
  history,
  torch_files,
  weights,
  workdir as workdirs,
)

# The generators of a snapshot: the one that is trained, and its average.
_GENERATORS = 'G', 'G_ema', 'ema'


class Snapshot(NamedTuple):
  """What a file holds.

  Attributes:
    model: how its networks were made.
    gen: the generator that is trained, or else the average.
    average: the averaged generator, or else the one that is trained.
    disc: the discriminator, or None.
    remarks: what of the file is not taken over, a line for each.
  """

  model: authors.Model
  gen: authors.Arrays
  average: authors.Arrays
  disc: authors.Arrays | None
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
  except (AttributeError, KeyError, TypeError) as error:
    raise ValueError(
      f'{path}: its networks are not as their authors make them ({error!r})'
    ) from None
  except ValueError as error:
    raise ValueError(f'{path}: {error}') from None
  remarks = []
  if len(there) == 1:
    remarks.append(f'it has one generator, {there[0]}: both are that')
  if disc is None:
    remarks.append('it has no D: that has random weights')
  if model.ignored:
    told = ', '.join(f'{k}={v}' for k, v in model.ignored.items())
    remarks.append(f'left out, for all is in float32 or as set here: {told}')
  if any(name.endswith('noise_const') for name in live.arrays):
    remarks.append('left out: noise_const; noise is drawn afresh')
  return Snapshot(
    model, live.arrays, average.arrays, disc and disc.arrays, tuple(remarks)
  )


def configure(config: configs.Config, model: authors.Model) -> configs.Config:
  """The configuration with the networks of a snapshot; changed in place.

  D is as the configuration has it where the snapshot has none.
  """
  config.gen.name, config.gen.net = model.network, model.gen
  if model.disc is not None:
    config.disc.name, config.disc.net = model.network, model.disc
  config.gen.latent_dim, config.gen.latent = model.latent_dim, 'normal'
  config.conditional = bool(model.classes)
  config.data.size, config.data.channels = model.shape[0], model.shape[-1]
  return config


def make_run(
  snapshot: Snapshot,
  source: pathlib.Path,
  config: configs.Config,
  out: pathlib.Path,
) -> states.GanState:
  """Makes a run whose first checkpoint, of step 0, has these networks.

  Optimisers and all that terms remember are as at the start of a run.

  Args:
    snapshot: what is taken over.
    source: the file that it was read from, which the run's history names.
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
  # Whole or not at all.
  final, out = out, out.with_name(out.name + '.tmp')
  model, classes = snapshot.model, snapshot.model.classes
  info = sources.Info(
    'images',
    model.shape,
    class_names=tuple(map(str, range(classes))),
    class_shares=(1 / classes,) * classes if classes else (),
  )
  spec = build.make_spec(config, info)
  hyper = build.make_hyper(config)
  state = _filled(
    jax.jit(lambda key: build.init_state(spec, hyper, key))(
      jax.random.key(config.seed)
    ),
    snapshot,
  )
  facts = {
    'rows': 0,
    'config': values.to_dict(config),
    'fingerprint': '',
    **workdirs.provenance(),
  }
  with (
    workdirs.claim(out, config, info),
    checkpoint.Checkpoints(out, config.checkpoint) as saved,
    workdirs.writing(out, lambda: f'{source} is untouched'),
  ):
    (out / 'metrics.jsonl').touch()
    history.add(
      out, 'convert', 0, file=source.name, sha256=weights.sha256(source)
    )
    saved.save(state, facts, {})
  out.rename(final)
  return state


def _filled(state: states.GanState, snapshot: Snapshot) -> states.GanState:
  layouts = snapshot.model.layouts
  live = _net(state.gen, layouts.gen, snapshot.gen, 'G')
  average = _net(state.gen, layouts.gen, snapshot.average, 'G_ema')
  # There is one set of running averages here. The authors copy G's to G_ema at
  # every step; a file may have those of G_ema alone.
  state = state._replace(
    gen=live._replace(vars=average.vars), gen_ema=average.params
  )
  if snapshot.disc is None:
    return state
  return state._replace(disc=_net(state.disc, layouts.disc, snapshot.disc, 'D'))


def _net(
  net: states.NetState,
  layout: authors.Layout,
  arrays: authors.Arrays,
  name: str,
) -> states.NetState:
  """A player with its arrays; `name` is that of the snapshot."""
  trees = net.params, *net.vars.values()
  try:
    params, *others = (authors.fill(tree, layout, arrays) for tree in trees)
  except ValueError as error:
    raise ValueError(f'{name}: {error}') from None
  if left := authors.unused(trees, layout, arrays):
    raise ValueError(f'{name}: there is nothing here for {", ".join(left)}')
  place = jax.tree.map(jax.numpy.asarray, (params, others))
  return net._replace(
    params=place[0], vars=dict(zip(net.vars, place[1], strict=True))
  )
