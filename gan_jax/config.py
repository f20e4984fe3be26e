"""The configuration of an experiment: plain nested dataclasses.

A field left at None takes the default of the network or source it belongs to;
one that the chosen network does not have is refused. Fields marked [swept] are
numbers that reach the training step as arrays: changing one recompiles
nothing.
"""

import copy
import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

T = TypeVar('T')


@dataclasses.dataclass
class Data:
  """Where real samples come from."""

  # A density (normal, exponential, ring, ...), 'digits', 'folder', or the
  # name of any TFDS image data set.
  name: str = 'normal'
  # The image folder, or the TFDS data directory ('' is $TFDS_DATA_DIR, then
  # ~/tensorflow_datasets).
  dir: str = ''
  # A TFDS split; sub-splits such as 'train[:90%]' work.
  split: str = 'train'
  # Images are centre-cropped and area-resized to size x size; 0 keeps the
  # size of a set whose images are all alike.
  size: int = 0
  # 1 for grey, 3 for colour; 0 keeps what the data have.
  channels: int = 0
  # Mirror images left to right at random, half of the time.
  flip: bool = False
  # 3 makes each sample of three grey images, as its colours (StackedMNIST):
  # which ones is drawn at every step, and nothing is stored.
  stack: int = 1
  # Train on samples with mean 0 and standard deviation 1 a dimension; the
  # sampler undoes it. Densities only.
  standardise: bool = True
  # Draw this many points from a density once and train on those; 0 draws
  # fresh points at every step.
  num_points: int = 0
  # Images beyond this many GiB stay on the host and are streamed to the
  # device, a chunk of steps at a time. The batches are the same either way.
  device_limit_gb: float = 4.0


@dataclasses.dataclass
class Gen:
  """The generator. What each network takes is in its file in networks/."""

  name: str = 'mlp'
  # The latent z: its size, and its law: 'uniform' on (-1, 1) or 'normal'.
  latent_dim: int = 1
  latent: str = 'uniform'
  width: int | None = None
  depth: int | None = None
  activation: str | None = None
  batch_norm: bool | None = None
  # Blocks of channels with weights of their own, in grouped convolutions.
  groups: int | None = None
  # The law of the initial weights, and its scale.
  kernel_init: str | None = None
  kernel_scale: float | None = None


@dataclasses.dataclass
class Disc:
  """The discriminator. What each network takes is in its file in networks/."""

  name: str = 'mlp'
  width: int | None = None
  depth: int | None = None
  activation: str | None = None
  batch_norm: bool | None = None
  groups: int | None = None
  pieces: int | None = None
  input_dropout: float | None = None
  hidden_dropout: float | None = None
  kernel_init: str | None = None
  kernel_scale: float | None = None


@dataclasses.dataclass
class Schedule:
  """Moves a number from its base value to `final`, counted in steps."""

  # 'constant', 'linear', 'cosine' (half a period), or 'exponential' (the base
  # value times exp(-rate * step), and never below `final`).
  kind: str = 'constant'
  final: float = 0.0  # [swept]
  begin: int = 0
  # The step at which `final` is reached.
  end: int = 0
  rate: float = 0.0  # [swept]


@dataclasses.dataclass
class Optimiser:
  """One player's optimiser."""

  # 'adam' or 'sgd'.
  name: str = 'adam'
  learning_rate: float = 1e-3  # [swept]
  learning_rate_schedule: Schedule = dataclasses.field(default_factory=Schedule)
  # Adam's beta_1, or the momentum of SGD.
  b1: float = 0.5  # [swept]
  b1_schedule: Schedule = dataclasses.field(default_factory=Schedule)
  b2: float = 0.999  # [swept] Adam only.
  eps: float = 1e-8  # [swept] Adam only.


@dataclasses.dataclass
class Optim:
  gen: Optimiser = dataclasses.field(default_factory=Optimiser)
  disc: Optimiser = dataclasses.field(default_factory=Optimiser)


@dataclasses.dataclass
class Penalty:
  """A term of the discriminator's loss; off while its weight is 0."""

  weight: float = 0.0  # [swept]
  # Applied at every k-th step, with k times the weight.
  every: int = 1


@dataclasses.dataclass
class LeCam:
  """LeCam regularisation; off while its weight is 0."""

  weight: float = 0.0  # [swept]
  decay: float = 0.99  # [swept] Of the logits' moving averages.
  every: int = 1


@dataclasses.dataclass
class Penalties:
  r1: Penalty = dataclasses.field(default_factory=Penalty)
  r2: Penalty = dataclasses.field(default_factory=Penalty)
  wgan_gp: Penalty = dataclasses.field(default_factory=Penalty)
  dragan: Penalty = dataclasses.field(default_factory=Penalty)
  lecam: LeCam = dataclasses.field(default_factory=LeCam)


@dataclasses.dataclass
class Game:
  """How the two players move; the rules are in games.py.

  All but 'alternating' and 'lookahead' move both players at once, which allows
  one D step for each of G's. 'consensus', 'sga' and 'unrolled' differentiate
  each player's loss with respect to the other's parameters, too; the points
  that R2 and WGAN-GP look at stay constants there.
  """

  # 'alternating', 'simultaneous', 'extragradient', 'optimistic', 'consensus',
  # 'sga' (symplectic gradient adjustment), 'lookahead' or 'unrolled'.
  rule: str = 'alternating'
  # Of the squared norm of both players' gradients.
  consensus_weight: float = 0.1  # [swept]
  # Of the adjustment, and whether its sign is chosen at every step.
  sga_weight: float = 1.0  # [swept]
  sga_align: bool = True
  # Both players go back every k-th step to this share of the way they made.
  lookahead_steps: int = 5
  lookahead_alpha: float = 0.5  # [swept]
  # Updates of D that G looks ahead.
  unroll_steps: int = 5


@dataclasses.dataclass
class Ema:
  """The moving average of the generator's parameters."""

  # In samples seen; 0 keeps the average equal to the live parameters.
  half_life: float = 0.0  # [swept]


@dataclasses.dataclass
class Eval:
  # Use the averaged generator for samples, figures and metrics.
  ema: bool = True
  # Samples behind the metrics.
  num_samples: int = 100_000
  # Steps between two frames of the figures and image grids.
  every: int = 1000
  # Metrics of images, with commas between them: fid, kid, is, prdc, parzen,
  # swd, memorisation, classes, intra_fid. Laws have figures of their own.
  metrics: str = ''
  # The real images to compare with; '' is data.split.
  split: str = ''
  # Images that the generator was not trained on, for parzen and memorisation.
  held_out: str = ''
  # The network that looks at them: 'digits', a classifier of ours that is
  # trained on the spot, or 'inception', whose weights are read from a file.
  features: str = 'digits'
  # The pt_inception checkpoint; '' looks for it in the cache.
  weights: str = ''
  # What the classifier of digits is trained on: a split of a TFDS set, if
  # not the real images themselves.
  features_data: str = 'mnist'
  features_split: str = ''


@dataclasses.dataclass
class Checkpoint:
  # Steps between two checkpoints; the final state is always kept.
  every: int = 1000
  # How many of the latest checkpoints stay on disk.
  keep: int = 2
  # Those at multiples of so many steps stay as well; 0 keeps none of them.
  keep_every: int = 0
  # A metric of the rows, such as 'eval/ks': the best by it stays as well.
  best: str = ''
  # Which is the better: 'min' or 'max'.
  best_mode: str = 'min'


@dataclasses.dataclass
class Population:
  """Runs trained side by side in one program, which differ in numbers alone."""

  # Seeds from `seed` on, for each combination of what varies.
  seeds: int = 1
  # [swept] fields and the values to try, every combination of them:
  # {'penalties.r1.weight': [0.0, 0.1, 1.0]}. On the command line
  # --config.population.vary='penalties.r1.weight=0,0.1,1;ema.half_life=0,1e5'.
  vary: dict[str, list[float]] = dataclasses.field(default_factory=dict)
  # Members side by side on a device; 0 chooses by memory and speed.
  at_once: int = 0


@dataclasses.dataclass
class Config:
  """An experiment. `seed` and these fields determine every number of it."""

  seed: int = 0
  # Generator updates.
  steps: int = 10_000
  # What D judges at once: real and generated, this many of each.
  batch_size: int = 128
  # saturating, non_saturating, least_squares, wasserstein, hinge,
  # relativistic_average, relativistic_paired.
  loss: str = 'non_saturating'
  # Discriminator updates for each generator update.
  disc_steps: int = 1
  # 'fresh': the generator's step draws its own latents (and real batch, where
  # its loss has one); 'shared': it reuses those of the last D step.
  latents: str = 'fresh'
  # PacGAN's m: D sees m samples of one kind at once, joined on the last axis.
  packing: int = 1
  # Activations: 'float32' or 'bfloat16'. Parameters are always float32.
  precision: str = 'float32'
  # Steps in one compiled call, and between two rows of the metrics.
  log_every: int = 100
  # When a loss or a gradient is infinite or NaN: 'stop' with a message, 'skip'
  # that player's update and count it, or 'continue' regardless.
  nonfinite: str = 'stop'
  data: Data = dataclasses.field(default_factory=Data)
  gen: Gen = dataclasses.field(default_factory=Gen)
  disc: Disc = dataclasses.field(default_factory=Disc)
  optim: Optim = dataclasses.field(default_factory=Optim)
  game: Game = dataclasses.field(default_factory=Game)
  penalties: Penalties = dataclasses.field(default_factory=Penalties)
  ema: Ema = dataclasses.field(default_factory=Ema)
  eval: Eval = dataclasses.field(default_factory=Eval)
  checkpoint: Checkpoint = dataclasses.field(default_factory=Checkpoint)
  population: Population = dataclasses.field(default_factory=Population)


def flatten(config: Any, prefix: str = '') -> dict[str, Any]:
  """Every leaf by its dotted name: {'seed': 0, 'data.name': 'normal', ...}."""
  leaves: dict[str, Any] = {}
  for field in dataclasses.fields(config):
    value = getattr(config, field.name)
    if dataclasses.is_dataclass(value):
      leaves |= flatten(value, f'{prefix}{field.name}.')
    else:
      leaves[prefix + field.name] = value
  return leaves


def assign(config: Any, name: str, value: Any) -> None:
  """Sets a leaf by its dotted name."""
  *groups, last = name.split('.')
  for group in groups:
    config = getattr(config, group)
  setattr(config, last, value)


def to_dict(config: Config) -> dict[str, Any]:
  """Nested plain values, as written to `config.json`."""
  return dataclasses.asdict(config)


def from_dict(
  values: Mapping[str, Any], kind: type = Config, prefix: str = ''
) -> Any:
  """The inverse of `to_dict`.

  Args:
    values: by field.
    kind: of dataclass.
    prefix: of the fields' dotted names, for the messages.

  Raises:
    ValueError: a field is unknown, or its value is not of its type.
  """
  hints = typing.get_type_hints(kind)
  kwargs = {}
  for name, value in values.items():
    dotted = prefix + name
    if name not in hints:
      raise ValueError(f'{dotted}: no such field of {kind.__name__}')
    if not dataclasses.is_dataclass(hints[name]):
      kwargs[name] = _typed(dotted, value, hints[name])
    elif isinstance(value, Mapping):
      group = typing.cast(type, hints[name])
      kwargs[name] = from_dict(value, group, f'{dotted}.')
    else:
      raise ValueError(f'{dotted}={value!r}: expected a group of fields')
  return kind(**kwargs)


def _typed(name: str, value: Any, hint: Any) -> Any:
  """`value`, where it is of type `hint` (an int is a float too)."""
  if typing.get_origin(hint) is dict:
    return _mapping(name, value)
  accepted = typing.get_args(hint) or (hint,)
  if float in accepted and type(value) is int:
    return float(value)
  if type(value) not in accepted:
    names = ' or '.join(
      'None' if t is types.NoneType else t.__name__ for t in accepted
    )
    raise ValueError(f'{name}={value!r}: expected {names}')
  return value


def _mapping(name: str, value: Any) -> dict[str, list[float]]:
  """`value`, where it maps names to lists of numbers."""
  if isinstance(value, dict) and all(
    isinstance(item, list) and all(isinstance(x, int | float) for x in item)
    for item in value.values()
  ):
    return {key: [float(x) for x in item] for key, item in value.items()}
  raise ValueError(f'{name}={value!r}: expected names with lists of numbers')


def choose(field: str, name: str, options: Mapping[str, T]) -> T:
  """`options[name]`, or a line that says what there is.

  Raises:
    ValueError: `name` is not among the options.
  """
  if name in options:
    return options[name]
  near = difflib.get_close_matches(name, options, n=1)
  hint = f' (did you mean {near[0]!r}?)' if near else ''
  raise ValueError(
    f'{field}={name!r}: there is no such choice{hint}; '
    f'there are {", ".join(options)}'
  )


# The least value of a field, wherever in the configuration it stands.
_AT_LEAST = {
  'seed': 0, 'steps': 1, 'batch_size': 1, 'disc_steps': 1, 'packing': 1,
  'log_every': 1, 'every': 1, 'keep': 1, 'latent_dim': 1, 'width': 1,
  'depth': 1, 'groups': 1, 'pieces': 1, 'num_samples': 1, 'size': 0,
  'num_points': 0, 'keep_every': 0, 'at_once': 0, 'seeds': 1,
  'device_limit_gb': 0, 'begin': 0, 'end': 0, 'final': 0,
  'learning_rate': 0, 'eps': 0, 'rate': 0, 'weight': 0, 'half_life': 0,
  'kernel_scale': 0, 'consensus_weight': 0, 'sga_weight': 0,
  'lookahead_steps': 1, 'unroll_steps': 1,
}  # fmt: skip

# Fields whose choices are not functions.
_CHOICES = {
  'nonfinite': ('stop', 'skip', 'continue'),
  'checkpoint.best_mode': ('min', 'max'),
}

# Fields that lie in [0, 1).
_FRACTIONS = ('b1', 'b2', 'decay', 'input_dropout', 'hidden_dropout')


def validate(config: Config) -> None:
  """Checks what can be known without building or compiling anything.

  Raises:
    ValueError: one line that names the field, its value and what is accepted.
  """
  from_dict(to_dict(config))  # Where a value is not of its field's type.
  for line in _problems(config):
    raise ValueError(line)


def warnings(config: Config) -> Iterator[str]:
  """One line for each thing that is allowed, and hardly meant."""
  length = math.gcd(config.steps, config.log_every)
  if length < min(config.steps, config.log_every):
    yield (
      f'steps={config.steps:,} is no multiple of log_every={config.log_every}, '
      f'so that {length} at a time are run, and a row is their mean'
    )
  for player in ('gen', 'disc'):
    field = f'optim.{player}.learning_rate'
    schedule = getattr(config.optim, player).learning_rate_schedule
    falls = schedule.kind in ('linear', 'cosine') and schedule.final == 0
    if falls and schedule.end < config.steps:
      yield (
        f'{field} is 0 from step {schedule.end:,} on, and '
        f'steps={config.steps:,}: {field}_schedule.end says when'
      )


def _problems(config: Config) -> Iterator[str]:
  """One line for each thing that is wrong."""
  leaves = flatten(config)
  for name, value in leaves.items():
    last = name.rpartition('.')[2]
    if isinstance(value, float) and not math.isfinite(value):
      yield f'{name}={value}: must be finite'
    if value is not None and last in _AT_LEAST and value < _AT_LEAST[last]:
      yield f'{name}={value}: must be at least {_AT_LEAST[last]}'
    if value is not None and last in _FRACTIONS and not 0 <= value < 1:
      yield f'{name}={value}: must be at least 0 and below 1'
    if last == 'kind' and value in ('linear', 'cosine'):
      begin, end = (leaves[name[:-4] + edge] for edge in ('begin', 'end'))
      if end <= begin:
        yield f'{name[:-4]}end={end}: must be after begin={begin}'
  for name in ('eval.every', 'checkpoint.every'):
    if leaves[name] % config.log_every:
      yield (
        f'{name}={leaves[name]}: must be a multiple of '
        f'log_every={config.log_every}'
      )
  if config.eval.num_samples < config.packing:
    yield (
      f'eval.num_samples={config.eval.num_samples}: must be at least '
      f'packing={config.packing}'
    )
  for name, accepted in _CHOICES.items():
    if leaves[name] not in accepted:
      yield f'{name}={leaves[name]!r}: must be {" or ".join(accepted)}'
  if config.checkpoint.keep_every % config.checkpoint.every:
    yield (
      f'checkpoint.keep_every={config.checkpoint.keep_every}: must be a '
      f'multiple of checkpoint.every={config.checkpoint.every}'
    )
  best = config.checkpoint.best
  if best and not best.startswith('eval/'):
    yield f"checkpoint.best={best!r}: must be one of the rows' 'eval/' figures"
  if best and config.checkpoint.every % config.eval.every:
    yield (
      f'checkpoint.every={config.checkpoint.every}: must be a multiple of '
      f'eval.every={config.eval.every} for checkpoint.best to be known'
    )
  yield from _population_problems(config)
  if not 0 < config.game.lookahead_alpha <= 1:
    yield (
      f'game.lookahead_alpha={config.game.lookahead_alpha}: must be above 0 '
      'and at most 1'
    )
  if config.data.channels not in (0, 1, 3):
    yield f'data.channels={config.data.channels}: must be 0, 1 or 3'
  if config.data.stack not in (1, 3):
    yield f'data.stack={config.data.stack}: must be 1 or 3'


_DEFAULTS = flatten(Config())


def swept(config: Config) -> dict[str, float]:
  """Every number that reaches the step as an array, by its dotted name."""
  groups = ('optim.', 'game.', 'penalties.', 'ema.')
  return {
    name: value
    for name, value in flatten(config).items()
    if name.startswith(groups) and isinstance(_DEFAULTS[name], float)
  }


def uses_ema(config: Config) -> bool:
  """Whether what is looked at is made by the averaged generator."""
  return config.eval.ema and max(swept_values(config, 'ema.half_life')) > 0


def swept_values(config: Config, name: str) -> list[float]:
  """A number of the step, or all that a population gives it."""
  return config.population.vary.get(name, [swept(config)[name]])


def _population_problems(config: Config) -> Iterator[str]:
  field = 'population.vary'
  known = swept(config)
  varied = config.population.vary
  sizes = {len(values) for values in varied.values()}
  if sizes == {1} and config.population.seeds == 1:
    yield (
      f'{field}: one value and population.seeds=1 make no population; set '
      f'{" and ".join(varied)} itself'
    )
  for name, values in varied.items():
    if name not in known:
      if name in flatten(config):
        yield (
          f'{field}: {name} changes the program, so its values are rows of a '
          'table (python -m experiments.table), not members of a population'
        )
      near = difflib.get_close_matches(name, known, n=1)
      hint = f' (did you mean {near[0]}?)' if near else ''
      yield f'{field}: {name} is no number of the step{hint}'
    if not values:
      yield f'{field}: {name} has no values'
    if len(set(values)) < len(values):
      yield f'{field}: {name} has a value twice'
    if name == 'ema.half_life' and 0 in values and len(values) > 1:
      yield (
        f'{field}: ema.half_life=0 samples another generator, so it is a row '
        'of a table (python -m experiments.table)'
      )
    for value in values:
      trial = copy.deepcopy(config)
      trial.population = Population()
      assign(trial, name, value)
      yield from _problems(trial)
