"""The configuration of an experiment: plain nested dataclasses.

A field left at None takes the default of the network or source it belongs to;
one that the chosen network does not have is refused. Fields marked [swept] are
numbers that reach the training step as arrays: changing one recompiles
nothing.
"""

import dataclasses


@dataclasses.dataclass
class Data:
  """Where real samples come from."""

  # A density (normal, exponential, ring, ...), 'digits', 'folder' (of images,
  # or a zip file of them), or the name of any TFDS image data set.
  name: str = 'normal'
  # The image folder or zip file (or a folder in it: faces.zip/train), or the
  # TFDS data directory ('' is $TFDS_DATA_DIR, then ~/tensorflow_datasets).
  dir: str = ''
  # A TFDS split; sub-splits such as 'train[:90%]' work. Folders, zip files and
  # digits have 'train' and slices of it in per cent.
  split: str = 'train'
  # Images are centre-cropped and area-resized to size x size; 0 keeps the
  # size of a set whose images are all alike.
  size: int = 0
  # 1 for grey, 3 for colour; 0 keeps what the data have.
  channels: int = 0
  # The colour that transparency is put on: white, black, '#808080', ...
  background: str = 'white'
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
  """A term of a player's loss; off while its weight is 0."""

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
  # The only one of the generator's.
  orthogonal: Penalty = dataclasses.field(default_factory=Penalty)


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
  # Metrics of images, with commas between them: fd_inception (or fid),
  # fd_classifier, kid, is, prdc, parzen, swd, memorisation, classes, intra_fd.
  # Laws have figures of their own.
  metrics: str = ''
  # The real images to compare with; '' is data.split.
  split: str = ''
  # Images that the generator was not trained on, for parzen and memorisation.
  held_out: str = ''
  # The network that looks at them: 'classifier', one of ours that is trained
  # on the spot, or 'inception', whose weights are read from a file.
  features: str = 'classifier'
  # The pt_inception checkpoint; '' looks for it in the cache.
  weights: str = ''
  # What the classifier is trained on: a split of a TFDS set, if not the real
  # images themselves.
  features_data: str = 'mnist'
  features_split: str = ''
  # The most samples of each set whose features kid and prdc keep.
  features_kept: int = 10_000
  # Random subsets of kid, and samples in each of them.
  kid_subsets: int = 100
  kid_subset_size: int = 1000
  # Parts of the samples that the inception score is a mean over.
  is_splits: int = 10


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
