"""What an architecture is trained with, for the configurations of images.

Each function sets the networks of a configuration and what its paper sets with
them; a configuration's own numbers come after.
"""

from gan_jax.config import declare, fields as config
from gan_jax.networks import dcgan, r3gan


def use_dcgan(
  c: config.Config, width: int, *, latent_dim: int = 100, batch_norm: bool
) -> None:
  """DCGAN (Radford et al. 2016): Adam 2e-4 with beta_1 .5, batches of 64.

  Args:
    c: the configuration.
    width: channels of both networks at the lowest resolution.
    latent_dim: of z, which is normal here.
    batch_norm: in D, as in the paper, or none there and R1 in its place.
  """
  c.batch_size = 64
  c.gen.name = c.disc.name = 'dcgan'
  c.gen.net = dcgan.GenSettings(width=width)
  c.disc.net = dcgan.DiscSettings(width=width, batch_norm=batch_norm)
  c.gen.latent_dim = latent_dim
  c.gen.latent = 'normal'
  for player in (c.optim.gen, c.optim.disc):
    player.learning_rate = 2e-4
    player.b1 = 0.5
  c.ema.half_life = 10_000.0


def use_small_dcgan(c: config.Config) -> None:
  """Unrolled GANs' and PacGAN's, with the rates of the latter's code."""
  c.batch_size = 128
  c.latents = 'shared'
  c.gen.name = c.disc.name = 'small_dcgan'
  c.gen.latent_dim = 256
  c.gen.latent = 'normal'
  for player in (c.optim.gen, c.optim.disc):
    player.b1 = 0.5
    player.b2 = 0.99
  c.optim.gen.learning_rate = 1e-4
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
) -> None:
  """R3GAN (Huang et al. 2024): the relativistic loss with R1 and R2.

  Its numbers move along half a cosine from the first sample to `burn_in`, and
  stay: the paper's table 9. Not here: its augmentation, and lower precision.

  Args:
    c: the configuration.
    width: channels of both networks, at all resolutions or at each.
    channels_a_group: of the 3x3 convolutions, between twice the width.
    depth: residual blocks at each resolution.
    gamma: the weight of R1 and R2, which falls to a tenth.
    half_life: of the moving average, in samples, to which it grows from none.
    burn_in: in samples.
    final_rate: what the learning rate of 2e-4 falls to, if it does.
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
  c.gen.latent_dim = 64
  c.gen.latent = 'normal'
  for player in (c.optim.gen, c.optim.disc):
    player.learning_rate = 2e-4
    player.b1 = 0.0
    player.b2 = 0.9
  c.penalties.r1.weight = c.penalties.r2.weight = gamma
  finals = {
    'penalties.r1.weight': gamma / 10,
    'penalties.r2.weight': gamma / 10,
    'ema.half_life': half_life,
  }
  for group in ('optim.gen', 'optim.disc'):
    finals[f'{group}.b2'] = 0.99
    if final_rate is not None:
      finals[f'{group}.learning_rate'] = final_rate
  for name, final in finals.items():
    c.schedules[name] = config.Schedule(
      'cosine', final, end=burn_in, unit='samples'
    )
