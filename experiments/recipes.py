"""What an architecture is trained with, for the configurations of images.

Each function sets the networks of a configuration and what its paper sets with
them; a configuration's own numbers come after.
"""

import dataclasses
import math
from typing import Any

from gan_jax.config import declare, fields as config
from gan_jax.networks import (
  biggan,
  biggan_deep,
  dcgan,
  r3gan,
  r3gan2,
  sngan,
  stylegan2,
  stylegan3,
)


def whole_rows(images: int, batch_size: int) -> int:
  """The steps of about so many images, by the hundred, as rows are written.

  A run of a number that no row divides is played in short pieces.
  """
  return 100 * round(images / batch_size / 100)


def set_adam(
  c: config.Config, learning_rate: float, b1: float, b2: float = 0.999
) -> None:
  """Adam's numbers, of both players."""
  for optimiser in (c.optim.gen, c.optim.disc):
    optimiser.learning_rate = learning_rate
    optimiser.b1, optimiser.b2 = b1, b2


def set_latents(c: config.Config, dim: int) -> None:
  """Normal latents of a size."""
  c.gen.latent_dim, c.gen.latent = dim, 'normal'


def use_dcgan(
  c: config.Config,
  width: int,
  *,
  latent_dim: int = 100,
  batch_norm: bool,
  learning_rate: float = 2e-4,
) -> None:
  """DCGAN (Radford et al. 2016): Adam with beta_1 .5, batches of 64.

  Args:
    c: the configuration.
    width: channels of both networks at the lowest resolution.
    latent_dim: of z, which is normal here.
    batch_norm: in D, as in the paper, or none there and R1 in its place.
    learning_rate: of both players; the paper's by default.
  """
  c.batch_size = 64
  c.gen.name = c.disc.name = 'dcgan'
  c.gen.net = dcgan.GenSettings(width=width)
  c.disc.net = dcgan.DiscSettings(width=width, batch_norm=batch_norm)
  set_latents(c, latent_dim)
  set_adam(c, learning_rate, 0.5)
  c.ema.half_life = 10_000.0


def use_wgan(c: config.Config) -> None:
  """WGAN (Arjovsky et al. 2017, algorithm 1), as in the authors' code.

  DCGANs, both with batch normalisation; RMSProp at 5e-5, five D steps to one of
  G, and D's parameters in [-.01, .01]. Not here: a hundred D steps before each
  of G's first 25 updates and each 500th one; there D is clipped before its
  updates, so that G sees it as the last of them left it; and gains of batch
  normalisation begin at N(1, .02), here at 1.

  Args:
    c: the configuration.
  """
  use_dcgan(c, width=512, batch_norm=True)
  c.ema.half_life = 0.0
  c.loss = 'wasserstein'
  c.disc_steps = 5
  for player in (c.optim.gen, c.optim.disc):
    player.name, player.learning_rate = 'rmsprop', 5e-5
    player.b1, player.b2 = 0.0, 0.99
  c.optim.disc.clip = 0.01


def use_small_dcgan(c: config.Config) -> None:
  """Unrolled GANs' and PacGAN's, with the rates of the latter's code."""
  c.batch_size = 128
  c.latents = 'shared'
  c.gen.name = c.disc.name = 'small_dcgan'
  set_latents(c, 256)
  set_adam(c, 1e-4, 0.5, 0.99)
  c.optim.disc.learning_rate = 2e-4


def use_r3gan(
  c: config.Config,
  width: declare.Stages,
  *,
  depth: int = 2,
  channels_a_group: int = 16,
  gamma: float,
  half_life: float,
  burn_in: int,
  final_rate: float | None = 5e-5,
  augment: float = 0.0,
) -> None:
  """R3GAN (Huang et al. 2024): the relativistic loss with R1 and R2.

  Its numbers move along half a cosine from the first sample to `burn_in`, and
  stay: the paper's table 9. Not here: lower precision at high resolutions, and
  an average of G that begins at G's first weights: ours is free of them, for
  which its rate is up to a tenth greater while the half-life grows.

  Args:
    c: the configuration.
    width: channels of both networks, at all resolutions or at each.
    channels_a_group: of the 3x3 convolutions, between twice the width.
    depth: residual blocks at each resolution.
    gamma: the weight of R1 and R2, which falls to a tenth.
    half_life: of the moving average, in samples, to which it grows from none.
    burn_in: in samples.
    final_rate: what the learning rate of 2e-4 falls to, if it does.
    augment: the probability to which its augmentation grows from 0; 0 is none.
  """
  c.loss = 'relativistic_paired'
  c.gen.name = c.disc.name = 'r3gan'
  if isinstance(width, tuple):
    groups: declare.Stages = tuple(2 * w // channels_a_group for w in width)
    embedding = width[0]
  else:
    groups, embedding = 2 * width // channels_a_group, width
  c.gen.net = r3gan.GenSettings(width, depth, groups)
  c.disc.net = r3gan.DiscSettings(width, depth, groups, embedding)
  # Of a conditional game: fake i has the class of real i.
  c.gen.labels = 'paired'
  set_latents(c, 64)
  set_adam(c, 2e-4, 0.0, 0.9)
  c.penalties.r1.weight = c.penalties.r2.weight = gamma
  finals = {
    'penalties.r1.weight': gamma / 10,
    'penalties.r2.weight': gamma / 10,
    'ema.half_life': half_life,
  }
  if augment:
    c.augment.policy = 'r3gan'
    finals['augment.p'] = augment
  for group in ('optim.gen', 'optim.disc'):
    finals[f'{group}.b2'] = 0.99
    if final_rate is not None:
      finals[f'{group}.learning_rate'] = final_rate
  for name, final in finals.items():
    c.schedules[name] = config.Schedule(
      'cosine', final, end=burn_in, unit='samples'
    )


def use_r3gan2(
  c: config.Config,
  width: declare.Stages,
  *,
  batch_size: int,
  gamma: float,
  augment: float,
  burn_in: int = 20_000_000,
  edm2_rate: bool = False,
) -> None:
  """R3GAN's second version, as the presets of its authors' code train it.

  The loss is R3GAN's, in bfloat16 but for 4x4 and the heads. Its numbers move
  along half a cosine until `burn_in`, and stay; the learning rate goes from .01
  to .001 and then falls with the root of the samples. Averages of the lengths
  .01, .05 and .1 are kept and that of .05 is looked at, as there; they are
  stored once in a million samples, which is rarer than there.

  Args:
    c: the configuration.
    width: channels of both networks, at all resolutions or at each.
    batch_size: as their README has it.
    gamma: the weight of R1 and R2, which falls to a tenth.
    augment: the probability to which its augmentation grows from 0.
    burn_in: in samples.
    edm2_rate: the learning rate is EDM2's in place of the above: it grows to
      .01 in a million samples, and falls with the root from a thousand batches
      on.
  """
  c.loss = 'relativistic_paired'
  c.precision = 'bfloat16'
  c.batch_size = batch_size
  c.gen.name = c.disc.name = 'r3gan2'
  lowest = width[0] if isinstance(width, tuple) else width
  c.gen.net = r3gan2.GenSettings(width)
  c.disc.net = r3gan2.DiscSettings(width, embedding=lowest)
  c.gen.labels = 'paired'
  set_latents(c, 64)
  c.penalties.r1.weight = c.penalties.r2.weight = gamma
  c.augment.policy = 'r3gan'
  finals = {
    'penalties.r1.weight': gamma / 10,
    'penalties.r2.weight': gamma / 10,
    'augment.p': augment,
    'optim.gen.b2': 0.99,
    'optim.disc.b2': 0.99,
  }
  for name, final in finals.items():
    c.schedules[name] = config.Schedule(
      'cosine', final, end=burn_in, unit='samples'
    )
  rate = config.Schedule(
    'cosine_inverse_sqrt', 1e-3, end=burn_in, unit='samples'
  )
  if edm2_rate:
    rate = config.Schedule(
      'inverse_sqrt', begin=1000 * batch_size, ramp=1_000_000, unit='samples'
    )
  set_adam(c, 1e-2, 0.0, 0.9)
  for player in ('gen', 'disc'):
    c.schedules[f'optim.{player}.learning_rate'] = rate
  c.ema.posthoc, c.eval.ema_length = '0.01,0.05,0.1', 0.05
  c.ema.posthoc_every = 100 * round(10_000 / batch_size)


def use_sngan(c: config.Config, *, steps: int, decay_from: int = 0) -> None:
  """SNGAN's ResNets (Miyato et al. 2018), as in the authors' code.

  The hinge loss, five D steps to one of G, and Adam at 2e-4, which falls to 0
  along a line; G's own batches are twice as large, and real images get noise of
  one step of 8 bits. Not here: there G moves first, and the vectors of spectral
  normalisation turn at each pass of D, 11 times a step; here at each update of
  D's.

  Args:
    c: the configuration.
    steps: of G.
    decay_from: the step at which the rates begin to fall.
  """
  c.steps = steps
  c.loss = 'hinge'
  c.batch_size = 64
  c.gen_batches = 2
  c.disc_steps = 5
  c.data.dequantise = True
  c.gen.name = c.disc.name = 'sngan'
  c.gen.net = sngan.GenSettings()
  c.disc.net = sngan.DiscSettings()
  set_latents(c, 128)
  c.gen.labels = 'uniform'
  set_adam(c, 2e-4, 0.0, 0.9)
  for player in ('gen', 'disc'):
    c.schedules[f'optim.{player}.learning_rate'] = config.Schedule(
      'linear', 0.0, begin=decay_from, end=steps
    )


def use_mimicry(c: config.Config, *, steps: int) -> None:
  """SNGAN as the library mimicry has it (Lee & Town 2020).

  G's batches are as large as D's, real images get no noise, and D moves first.
  G doubles sides bilinearly, D's last layer has a bias at 32x32, too, the
  shortcuts of its blocks see what is rectified for their convolutions, for that
  is done in place, and biases begin as PyTorch's do. Not here: as in
  `use_sngan`, the vectors of spectral normalisation turn at each pass of D.

  Args:
    c: the configuration.
    steps: of G.
  """
  use_sngan(c, steps=steps)
  c.gen_batches, c.data.dequantise = 1, False
  c.gen.net = sngan.GenSettings(
    bias_init='fan_in_uniform', epsilon=1e-5, doubling='bilinear'
  )
  c.disc.net = sngan.DiscSettings(
    bias_init='fan_in_uniform', rectified_shortcuts=True, last_bias=True
  )


def use_wgan_gp(c: config.Config, *, steps: int) -> None:
  """WGAN-GP (Gulrajani et al. 2017) as the library mimicry has it.

  SNGAN's ResNets without spectral normalisation, its rates and its five D steps
  to one of G, with the Wasserstein loss and a penalty of 10 on D's gradients,
  whose last layer sees means over pixels. The weights of 1x1 shortcuts and of
  G's last convolution begin as PyTorch's do, too.

  Args:
    c: the configuration.
    steps: of G.
  """
  use_mimicry(c, steps=steps)
  c.loss = 'wasserstein'
  c.penalties.wgan_gp.weight = 10.0
  shortcuts = 'fan_in_uniform'
  c.gen.net = dataclasses.replace(c.gen.net, shortcut_init=shortcuts)
  c.disc.net = dataclasses.replace(
    c.disc.net,
    shortcut_init=shortcuts,
    spectral_norm=False,
    pooling='mean',
  )


def use_ssgan(c: config.Config, *, steps: int) -> None:
  """SSGAN (Chen et al. 2019) as mimicry has it.

  Args:
    c: the configuration.
    steps: of G.
  """
  use_mimicry(c, steps=steps)
  c.disc.net = dataclasses.replace(c.disc.net, rotations=True)
  c.penalties.ssgan.weight, c.penalties.ssgan_gen.weight = 1.0, 0.2


def use_infomax(c: config.Config, *, steps: int) -> None:
  """InfoMax-GAN (Lee et al. 2021) as mimicry has it, by the same authors.

  Args:
    c: the configuration.
    steps: of G.
  """
  use_mimicry(c, steps=steps)
  c.disc.net = dataclasses.replace(c.disc.net, infomax=1024)
  c.penalties.infomax.weight = c.penalties.infomax_gen.weight = 0.2


# That code draws its own weights, and leaves biases where PyTorch's begin.
_BIGGAN_BIASES: dict[str, Any] = {'bias_init': 'fan_in_uniform'}


def use_biggan(c: config.Config) -> None:
  """BigGAN for CIFAR-10, by the launch script of the authors' PyTorch code.

  The hinge loss, four D steps to one of G, Adam at 2e-4 with beta_1 0, weights
  of N(0, .02) and biases as PyTorch's, no attention, no shared embedding, z in
  one piece. Not here: there the average of G starts anew at step 1,000, here it
  is without bias from the first; there it holds G's batch statistics and the
  vectors of spectral normalisation too, which D's steps move as well, here they
  are of G's own updates.
  """
  c.steps = 125_000
  c.loss = 'hinge'
  c.batch_size = 50
  c.disc_steps = 4
  c.gen.name = c.disc.name = 'biggan'
  init = _BIGGAN_BIASES | {'kernel_init': 'normal', 'kernel_scale': 0.02}
  c.gen.net = biggan.GenSettings(**init)
  c.disc.net = biggan.DiscSettings(**init)
  set_latents(c, 128)
  c.gen.labels = 'uniform'
  set_adam(c, 2e-4, 0.0)
  c.ema.half_life = _half_life(0.9999, c.batch_size)


# The side of the resolution with self-attention in BigGAN, and the size of z:
# 20 for each block and 20. By the side of its images.
_BIGGAN = {32: (16, 80), 64: (32, 100), 128: (64, 120), 256: (64, 140)}


def use_large_biggan(
  c: config.Config, size: int, *, batch_size: int = 2048
) -> None:
  """BigGAN for ImageNet (Brock et al. 2019), by the script of that code.

  As `use_biggan`, but one D step to one of G, at rates of 4e-4 and 1e-4,
  orthogonal weights, an embedding of the class that all blocks share, and a
  part of z for each. Attention at 16x16 for images of 32x32 is ours.

  Args:
    c: the configuration.
    size: the side of the images.
    batch_size: there 2,048, in eight parts of 256, each normalised by its own
      statistics.
  """
  use_biggan(c)
  attention, c.gen.latent_dim = _BIGGAN[size]
  _use_two_rates(c, batch_size)
  # The most that divide it and have so many samples.
  c.microbatches = max(
    parts
    for parts in range(1, max(1, batch_size // 256) + 1)
    if batch_size % parts == 0
  )
  own = _BIGGAN_BIASES | {'width': 96, 'attention': attention}
  c.gen.net = biggan.GenSettings(shared=128, hierarchical=True, **own)
  c.disc.net = biggan.DiscSettings(**own)
  for player in (c.optim.gen, c.optim.disc):
    player.eps = 1e-6


def use_biggan_deep(
  c: config.Config, size: int, *, batch_size: int = 2048
) -> None:
  """BigGAN-deep for ImageNet (Brock et al. 2019), by the script of that code.

  As `use_large_biggan`, but for the networks. The script is for 128x128, and
  its authors have not trained it to the end (their README). The paper (appendix
  C) has two D steps to one of G, at rates of 2e-4 and 5e-5 at 128x128, and of
  2.5e-5 for both players at 256x256.

  Args:
    c: the configuration.
    size: the side of the images.
    batch_size: as there.
  """
  use_large_biggan(c, size, batch_size=batch_size)
  c.gen.name = c.disc.name = 'biggan_deep'
  c.gen.latent_dim = 128
  attention, _ = _BIGGAN[size]
  own = _BIGGAN_BIASES | {'attention': attention}
  c.gen.net = biggan_deep.GenSettings(**own)
  c.disc.net = biggan_deep.DiscSettings(**own)


def use_studiogan_biggan(c: config.Config, conditioning: str) -> None:
  """BigGAN for CIFAR-10 with other ways to take the class, as StudioGAN has it.

  https://github.com/POSTECH-CVLab/PyTorch-StudioGAN, by its authors' settings:
  an embedding of the class that all blocks share and a part of z for each,
  attention at 16x16, a D of half the width, five D steps to one of G, the hinge
  loss, and Adam at 2e-4 with beta_1 .5. The caller sets the terms' weights, or
  another loss. Not here: there the average of G starts at step 1,000, here it
  is without bias from the first, and holds no batch statistics; there D's steps
  turn G's vectors of spectral normalisation too; classifiers have no bias
  there, that of ACGAN
  learns of real samples alone, ReACGAN's loss is not quite its formula
  (`class_losses.data_to_data`), and MHGAN's G matches the features of real
  samples that it draws, here of those of D's last update.

  Args:
    c: the configuration.
    conditioning: of D; a name in `conditional.HEADS`.
  """
  use_biggan(c)
  c.conditional = c.data.flip = True
  c.steps, c.batch_size, c.disc_steps = 100_000, 64, 5
  c.gen.net = biggan.GenSettings(
    width=96, attention=16, shared=128, hierarchical=True, epsilon=1e-4
  )
  c.disc.net = biggan.DiscSettings(
    width=48, attention=16, conditioning=conditioning
  )
  set_latents(c, 80)
  set_adam(c, 2e-4, 0.5)
  for player in (c.optim.gen, c.optim.disc):
    player.eps = 1e-6
  c.ema.half_life = _half_life(0.9999, c.batch_size)


def _use_two_rates(c: config.Config, batch_size: int) -> None:
  """One D step to one of G, and a rate for each."""
  c.batch_size = batch_size
  c.disc_steps = 1
  c.optim.gen.learning_rate = 1e-4
  c.optim.disc.learning_rate = 4e-4
  c.ema.half_life = _half_life(0.9999, batch_size)


def use_sagan(c: config.Config) -> None:
  """SAGAN for ImageNet (Zhang et al. 2019), by the script of that code.

  As `use_biggan`, but one D step to one of G, at rates of 4e-4 and 1e-4, of
  batches in two parts, with attention at 64x64 and Glorot's weights. The
  paper's beta_2 is .9.
  """
  use_biggan(c)
  _use_two_rates(c, batch_size=256)
  c.microbatches = 2
  own = _BIGGAN_BIASES | {
    'kernel_init': 'glorot_uniform', 'kernel_scale': 1.0, 'attention': 64,
  }  # fmt: skip
  c.gen.net = biggan.GenSettings(**own)
  c.disc.net = biggan.DiscSettings(**own)


def _half_life(decay: float, batch_size: int) -> float:
  """In samples, of an average that keeps so much at each step."""
  return batch_size * math.log(2) / -math.log(decay)


@dataclasses.dataclass(frozen=True)
class StyleGan2:
  """One of the configurations that StyleGAN2-ADA's train.py has by name.

  Of their PyTorch code; at the sides that its names say, that in TensorFlow has
  the same.

  Attributes:
    images: to train for.
    batch: of both players.
    group: of the minibatch standard deviation.
    fmaps: channels times side, in 32768.
    rate: Adam's learning rate, before the corrections for lazy terms.
    gamma: the weight of R1.
    half_life: of the moving average, in images.
    ramp: the half-life as a share of the images so far, until it is that; None
      is that from the start.
    depth: layers of G's mapping network.
    disc: D's architecture.
    path_length: the weight of G's regularisation.
    mixing: how often batches mix styles.
  """

  images: int
  batch: int
  group: int
  fmaps: float
  rate: float
  gamma: float
  half_life: float
  ramp: float | None = None
  depth: int = 8
  disc: str = 'resnet'
  path_length: float = 2.0
  mixing: float = 0.9


# 'stylegan2' is configuration F of the paper, at 1024x1024.
STYLEGAN2 = {
  'stylegan2': StyleGan2(25_000_000, 32, 4, 1, 0.002, 10, 10_000.0),
  'paper256': StyleGan2(25_000_000, 64, 8, 0.5, 0.0025, 1, 20_000.0),
  'paper512': StyleGan2(25_000_000, 64, 8, 1, 0.0025, 0.5, 20_000.0),
  'paper1024': StyleGan2(25_000_000, 32, 4, 1, 0.002, 2, 10_000.0),
  'cifar': StyleGan2(
    100_000_000, 64, 32, 1, 0.0025, 0.01, 500_000.0, ramp=0.05, depth=2,
    disc='orig', path_length=0.0, mixing=0.0,
  ),
  # Of their TensorFlow code alone: StyleGAN2 as it was before they tuned it.
  'cifarbaseline': StyleGan2(
    100_000_000, 64, 32, 0.5, 0.0025, 0.01, 500_000.0, ramp=0.05
  ),
}  # fmt: skip


def stylegan2_auto(size: int, batch: int | None = None) -> StyleGan2:
  """Their configuration 'auto', for images of any side and one device.

  Args:
    size: of the images.
    batch: None for their choice.
  """
  if batch is None:
    batch = max(min(4096 // size, 32), 1)
  return StyleGan2(
    images=25_000_000,
    batch=batch,
    group=min(batch, 4),
    fmaps=1 if size >= 512 else 0.5,
    rate=0.002 if size >= 1024 else 0.0025,
    gamma=0.0002 * size**2 / batch,
    half_life=batch * 10_000 / 32,
    ramp=0.05,
    depth=2,
  )


def use_stylegan2(c: config.Config, preset: StyleGan2) -> None:
  """StyleGAN2 (Karras et al. 2020), as StyleGAN2-ADA trains it.

  R1 is applied at each 16th step and path length regularisation at each fourth,
  with Adam's numbers corrected as there (Karras et al. 2020, appendix B). There
  a lazy term has an optimiser step of its own; here it is added to the loss of
  the same step. Also different: D moves first, w's average is of G's updates
  and not also of D's, path lengths are of half of the latents of G's step,
  gradients that are not finite are handled as `config.nonfinite` says, and
  without a ramp the moving average forgets its start, as Adam's do. Not here:
  augmentation, and lower precision at the highest resolutions with the clamp of
  activations at 256 that comes with it (it is their code with --fp32=1).

  Args:
    c: the configuration.
    preset: of `STYLEGAN2`, or `stylegan2_auto`.
  """
  c.batch_size = preset.batch
  c.steps = whole_rows(preset.images, preset.batch)
  c.loss = 'non_saturating'
  c.gen.name = c.disc.name = 'stylegan2'
  base = int(32768 * preset.fmaps)
  c.gen.net = stylegan2.GenSettings(
    channel_base=base, depth=preset.depth, mixing=preset.mixing
  )
  c.disc.net = stylegan2.DiscSettings(
    channel_base=base, architecture=preset.disc, mbstd_group=preset.group
  )
  set_latents(c, 512)
  c.penalties.r1.weight, c.penalties.r1.every = preset.gamma, 16
  c.penalties.path_length.weight = preset.path_length
  c.penalties.path_length.every = 4
  # G's numbers are corrected without path lengths, too, as there.
  _set_lazy_adam(c.optim.gen, preset.rate, 4)
  _set_lazy_adam(c.optim.disc, preset.rate, 16)
  if preset.ramp is None:
    c.ema.half_life = preset.half_life
    return
  _set_ramp(c, preset.half_life, preset.ramp)


def _set_lazy_adam(player: config.Optimiser, rate: float, every: int) -> None:
  """Adam's numbers, corrected for a term at each so many-th step."""
  share = every / (every + 1)
  player.learning_rate = rate * share
  player.b1 = 0.0
  player.b2 = 0.99**share


def _set_ramp(c: config.Config, half_life: float, share: float) -> None:
  """The half-life is a share of the images so far, until it is its own."""
  c.ema.half_life = 0.0
  c.schedules['ema.half_life'] = config.Schedule(
    'linear', half_life, end=round(half_life / share), unit='samples'
  )


def use_stylegan3(
  c: config.Config,
  *,
  rotation: bool = False,
  batch: int = 32,
  gamma: float,
  fmaps: float = 1,
  disc_rate: float = 0.002,
) -> None:
  """StyleGAN3 (Karras et al. 2021), as the authors' train.py trains it.

  D is StyleGAN2's, with R1 at each 16th step and Adam's numbers corrected for
  it; there are no path lengths and no mixed styles. In configuration R a blur
  of what D sees fades out in the first 200,000 images, by batches of 32. As in
  `use_stylegan2`, D moves first, R1 is of the same step, gradients that are not
  finite are handled as `config.nonfinite` says, and running averages (of w and
  of magnitudes) are of G's updates, there of D's. Not here: float16 at the
  highest resolutions, and a clamp of D's activations at 256 that comes with it.

  Args:
    c: the configuration.
    rotation: configuration R in place of T.
    batch: of both players.
    gamma: the weight of R1.
    fmaps: D's channels times side, in 32768; G's times twice the cutoff.
    disc_rate: D's learning rate, before the correction.
  """
  c.batch_size = batch
  c.steps = whole_rows(25_000_000, batch)
  c.loss = 'non_saturating'
  c.gen.name = c.disc.name = 'stylegan3'
  base, wider = int(32768 * fmaps), 2 if rotation else 1
  c.gen.net = stylegan3.GenSettings(
    width=512 * wider,
    channel_base=base * wider,
    kernel=1 if rotation else 3,
    radial=rotation,
  )
  c.disc.net = stylegan3.DiscSettings(channel_base=base)
  set_latents(c, 512)
  c.penalties.r1.weight, c.penalties.r1.every = gamma, 16
  set_adam(c, 0.0025, 0.0, 0.99)
  _set_lazy_adam(c.optim.disc, disc_rate, 16)
  _set_ramp(c, batch * 10_000 / 32, 0.05)
  if rotation:
    c.augment.blur = 10.0
    c.schedules['augment.blur'] = config.Schedule(
      'linear', 0.0, end=batch * 200_000 // 32, unit='samples'
    )
