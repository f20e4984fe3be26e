"""The configuration of an experiment: plain nested dataclasses.

What a field declares besides its default is in `declare.Facts`: its bounds, and
whether it is swept. `python -m experiments.train --describe` prints all of it.
"""

import dataclasses
from typing import Any

from gan_jax.config import declare


@dataclasses.dataclass
class Data:
  """Where real samples come from."""

  # A density (normal, exponential, ring, ...), 'digits', 'folder' (of images,
  # or a zip file of them), or the name of any TFDS image data set.
  name: str = 'normal'
  # The image folder or zip file (or a folder in it: faces.zip/train), the TFDS
  # data directory, or for MNIST and sets in its form the folder of their own
  # files ('' is $TFDS_DATA_DIR, then ~/tensorflow_datasets).
  dir: str = ''
  # A TFDS split; sub-splits such as 'train[:90%]' work. Folders, zip files and
  # digits have 'train' and slices of it in per cent.
  split: str = 'train'
  # Images are centre-cropped and area-resized to size x size; 0 keeps the
  # size of a set whose images are all alike.
  size: int = declare.field(0, at_least=0)
  # 1 for grey, 3 for colour; 0 keeps what the data have.
  channels: int = declare.field(0, choices=(0, 1, 3))
  # The colour that transparency is put on: white, black, '#808080', ...
  background: str = 'white'
  # Mirror images left to right at random, half of the time.
  flip: bool = False
  # Add noise of one step of 8 bits to real images, drawn anew at each step, so
  # that their values are no longer discrete: (x + U(0, 1)) / 128 - 1.
  dequantise: bool = False
  # 3 makes each sample of three grey images, as its colours (StackedMNIST):
  # which ones is drawn at every step, and nothing is stored.
  stack: int = declare.field(1, choices=(1, 3))
  # Train on samples with mean 0 and standard deviation 1 a dimension; the
  # sampler undoes it. Densities only.
  standardise: bool = True
  # Draw this many points from a density once and train on those; 0 draws
  # fresh points at every step.
  num_points: int = declare.field(0, at_least=0)
  # Images that would take more than this many GiB of a device stay on the host
  # and are streamed, a chunk of steps at a time. The batches are the same.
  device_limit_gb: float = declare.field(4.0, at_least=0)
  # Images that are not streamed, on several devices: 'copy', all of them on
  # each, or 'split', an equal part on each, from which the devices send each
  # other those of a step. The batches are the same.
  placement: str = declare.field('copy', choices=('copy', 'split'))


@dataclasses.dataclass
class Gen:
  """The generator."""

  # A file in networks/: mlp, maxout, dcgan, small_dcgan, r3gan, r3gan2, sngan,
  # biggan, biggan_deep, stylegan2 or stylegan3.
  name: str = 'mlp'
  # The size of the latent z.
  latent_dim: int = declare.field(1, at_least=1)
  # The law of z: 'uniform' on (-1, 1), 'unit_uniform', the same with a variance
  # of 1, or 'normal'.
  latent: str = 'uniform'
  # With conditional=True, the classes that are asked of it in training: 'data'
  # (drawn as often as the data have them), 'uniform', or 'paired' (those of the
  # real samples that D sees beside them).
  labels: str = 'data'
  # InfoGAN's codes: so many classes that no data have are asked of it, each as
  # often, and D's head is to find them again; 0 for none.
  codes: int = declare.field(0, at_least=0)
  # The network's own settings: the `GenSettings` of its file; None for its
  # defaults.
  net: Any = None


@dataclasses.dataclass
class Disc:
  """The discriminator."""

  # A file in networks/, as for the generator.
  name: str = 'mlp'
  # The network's own settings: the `DiscSettings` of its file; None for its
  # defaults.
  net: Any = None


_KINDS = (
  'linear', 'cosine', 'exponential', 'inverse_sqrt', 'cosine_inverse_sqrt'
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Schedule:
  """Moves a swept number from its own value to `final`."""

  # 'linear', 'cosine' (half a period), 'exponential' (the number's own value
  # times exp(-rate * count), and never below `final`), 'inverse_sqrt' (times
  # sqrt(begin / count) from `begin` on, and never below `final`), or
  # 'cosine_inverse_sqrt' (a cosine, and from `end` on `final` times
  # sqrt(end / count)).
  kind: str = declare.field('linear', choices=_KINDS)
  # Bounded as the number is.
  final: float = declare.field(0.0, swept=True)
  # The count until which the number keeps its own value.
  begin: int = declare.field(0, at_least=0)
  # The count at which `final` is reached; not of 'exponential' and
  # 'inverse_sqrt'.
  end: int = declare.field(0, at_least=0)
  # Of 'exponential' alone.
  rate: float = declare.field(0.0, swept=True, at_least=0)
  # Until this count the number also grows along a line from 0; 0 does not.
  ramp: int = declare.field(0, at_least=0)
  # What is counted: 'steps', or 'samples', of which a step has one batch as
  # D sees it (packing * batch_size), as for ema.half_life.
  unit: str = declare.field('steps', choices=('steps', 'samples'))


@dataclasses.dataclass
class Optimiser:
  """One player's optimiser."""

  # 'adam', 'sgd' or 'rmsprop'.
  name: str = 'adam'
  # The size of an update.
  learning_rate: float = declare.field(1e-3, swept=True, at_least=0)
  # Adam's beta_1, or the momentum of SGD and RMSProp.
  b1: float = declare.field(0.5, swept=True, at_least=0, below=1)
  # Adam's beta_2, or RMSProp's decay.
  b2: float = declare.field(0.999, swept=True, at_least=0, below=1)
  # Adam's epsilon, or RMSProp's.
  eps: float = declare.field(1e-8, swept=True, at_least=0)
  # After each update all parameters are clipped to [-clip, clip]; 0 clips none.
  # WGAN's is 0.01, of D.
  clip: float = declare.field(0.0, swept=True, at_least=0)
  # After each update the weights that enter a unit have at most this norm, in
  # dense layers a column of the kernel as it is stored; 0 bounds none. Maxout
  # networks have 1.9365 (Goodfellow et al. 2013, their code for MNIST).
  max_column_norm: float = declare.field(0.0, swept=True, at_least=0)
  # Parts of the network that stay as they are, with commas between them, each
  # the beginning of its parameters' names: 'b64,b32/conv0'. Of D, FreezeD (Mo
  # et al. 2020); '' freezes none.
  frozen: str = ''


@dataclasses.dataclass
class Optim:
  """Both players' optimisers."""

  gen: Optimiser = dataclasses.field(default_factory=Optimiser)
  disc: Optimiser = dataclasses.field(default_factory=Optimiser)


@dataclasses.dataclass
class Penalty:
  """A term of a player's loss; off while its weight is 0."""

  # Of the term in the loss.
  weight: float = declare.field(0.0, swept=True, at_least=0)
  # Applied at every k-th step, with k times the weight.
  every: int = declare.field(1, at_least=1)


@dataclasses.dataclass
class LabelSmoothing:
  """Labels of real samples below 1; off while its weight is 0."""

  # What they are below 1.
  weight: float = declare.field(0.0, swept=True, at_least=0, below=1)
  # Applied at every k-th step, with k times the weight.
  every: int = declare.field(1, at_least=1)


@dataclasses.dataclass
class FeatureMatching:
  """Means of D's last layer that are to be alike; off while its weight is 0."""

  # Of the term in the loss.
  weight: float = declare.field(0.0, swept=True, at_least=0)
  # Between the means: the 'squared' length of their difference, or its
  # 'mean_absolute' size over all units, as in MHGAN's code.
  distance: str = declare.field('squared', choices=('squared', 'mean_absolute'))
  # Applied at every k-th step, with k times the weight.
  every: int = declare.field(1, at_least=1)


@dataclasses.dataclass
class LeCam:
  """LeCam regularisation; off while its weight is 0."""

  # Of the term in the loss.
  weight: float = declare.field(0.0, swept=True, at_least=0)
  # Of the logits' moving averages.
  decay: float = declare.field(0.99, swept=True, at_least=0, below=1)
  # Applied at every k-th step, with k times the weight.
  every: int = declare.field(1, at_least=1)


@dataclasses.dataclass
class PathLength:
  """The generator's path length regularisation; off while its weight is 0."""

  # Of the term in the loss.
  weight: float = declare.field(0.0, swept=True, at_least=0)
  # Applied at every k-th step, with k times the weight.
  every: int = declare.field(1, at_least=1)
  # The share of a batch's mean length in the running average.
  decay: float = declare.field(0.01, swept=True, above=0, at_most=1)
  # It is taken of one in so many samples of a batch.
  shrink: int = declare.field(2, at_least=1)


@dataclasses.dataclass
class Consistency:
  """Outputs of D that are to be alike; off while its weight is 0."""

  # Of the term in the loss.
  weight: float = declare.field(0.0, swept=True, at_least=0)
  # Beside D's logits also its outputs of the classes, or its space of proxies,
  # as in StudioGAN.
  heads: bool = False
  # Applied at every k-th step, with k times the weight.
  every: int = declare.field(1, at_least=1)


@dataclasses.dataclass
class Zcr(Consistency):
  """The same of small moves of the latents."""

  # The standard deviation of a move.
  sigma: float = declare.field(0.05, swept=True, at_least=0)


@dataclasses.dataclass
class ZcrGen:
  """Samples that differ with their latents; off while its weight is 0."""

  # Of the term in the loss.
  weight: float = declare.field(0.0, swept=True, at_least=0)
  # The standard deviation of a move.
  sigma: float = declare.field(0.05, swept=True, at_least=0)
  # Applied at every k-th step, with k times the weight.
  every: int = declare.field(1, at_least=1)


@dataclasses.dataclass
class Contrastive:
  """The contrastive loss of classes; off while its weight is 0."""

  # Of the term in the loss.
  weight: float = declare.field(0.0, swept=True, at_least=0)
  # What cosines are divided by.
  temperature: float = declare.field(1.0, swept=True, above=0)
  # Applied at every k-th step, with k times the weight.
  every: int = declare.field(1, at_least=1)


@dataclasses.dataclass
class DataToData:
  """The data-to-data cross-entropy; off while its weight is 0."""

  # Of the term in the loss.
  weight: float = declare.field(0.0, swept=True, at_least=0)
  # What cosines are divided by.
  temperature: float = declare.field(0.5, swept=True, above=0)
  # The cosine from which a sample is near enough to its proxy; samples of other
  # classes are far enough below 1 less this.
  margin: float = declare.field(0.98, swept=True, at_least=0, at_most=1)
  # Applied at every k-th step, with k times the weight.
  every: int = declare.field(1, at_least=1)


@dataclasses.dataclass
class Penalties:
  """Terms that are added to the losses: D's, but where it is said."""

  # 1/2 E |grad D|^2 on real samples (Mescheder et al. 2018), so that the weight
  # is their gamma.
  r1: Penalty = dataclasses.field(default_factory=Penalty)
  # The same on generated samples.
  r2: Penalty = dataclasses.field(default_factory=Penalty)
  # E (|grad D| - 1)^2 between real and generated samples (Gulrajani et al.
  # 2017), whose weight is 10.
  wgan_gp: Penalty = dataclasses.field(default_factory=Penalty)
  # E (|grad D| - 1)^2 around real samples (Kodali et al. 2017).
  dragan: Penalty = dataclasses.field(default_factory=Penalty)
  # One-sided label smoothing (Salimans et al. 2016, .1): the label of real
  # samples is 1 less the weight, and D's optimum that times p / (p + p_g).
  label_smoothing: LabelSmoothing = dataclasses.field(
    default_factory=LabelSmoothing
  )
  # How far D's logits pass the moving average of the other side's (Tseng et al.
  # 2021).
  lecam: LeCam = dataclasses.field(default_factory=LeCam)
  # Of an auxiliary classifier in D (disc.net.conditioning='classifier'), on
  # real and on generated samples; the generator's share is `acgan_gen`.
  acgan: Penalty = dataclasses.field(default_factory=Penalty)
  # The generator's: that D's classifier finds the class that was asked for.
  acgan_gen: Penalty = dataclasses.field(default_factory=Penalty)
  # Of two classifiers (disc.net.conditioning='twin_classifiers'), one of real
  # samples and one of generated ones (Gong et al. 2019, TAC-GAN).
  tacgan: Penalty = dataclasses.field(default_factory=Penalty)
  # The generator's: that the first finds the class and the second does not.
  tacgan_gen: Penalty = dataclasses.field(default_factory=Penalty)
  # Of a classifier of real and generated samples of each class
  # (disc.net.conditioning='discriminative_classifier'; Hou et al. 2022,
  # ADC-GAN).
  adcgan: Penalty = dataclasses.field(default_factory=Penalty)
  # The generator's: that its samples are found to be real ones of their class.
  adcgan_gen: Penalty = dataclasses.field(default_factory=Penalty)
  # Of D as a classifier with a class 'generated' beside those of the data
  # (disc.net.conditioning='multi_hinge'; Kavalerov et al. 2021, MHGAN): hinge
  # losses of real samples' own classes, and of 'generated' for fakes. It is all
  # of D's loss with loss='none'; another loss, added to it, is of the output of
  # a sample's class less that of 'generated'.
  mhgan: Penalty = dataclasses.field(default_factory=Penalty)
  # The generator's: the same of its samples' classes. StudioGAN's weight is
  # 0.05, beside feature_matching of weight 1 and distance 'mean_absolute'.
  mhgan_gen: Penalty = dataclasses.field(default_factory=Penalty)
  # Of real samples among proxies of the classes
  # (disc.net.conditioning='proxies'; Kang & Park 2020, ContraGAN).
  contragan: Contrastive = dataclasses.field(default_factory=Contrastive)
  # The generator's: the same of its samples.
  contragan_gen: Contrastive = dataclasses.field(default_factory=Contrastive)
  # Of real samples among proxies, by another loss (Kang et al. 2021, ReACGAN).
  reacgan: DataToData = dataclasses.field(default_factory=DataToData)
  # The generator's: the same of its samples.
  reacgan_gen: DataToData = dataclasses.field(default_factory=DataToData)
  # Of codes that D finds in generated samples (disc.net.conditioning='codes';
  # Chen et al. 2016, InfoGAN).
  infogan: Penalty = dataclasses.field(default_factory=Penalty)
  # The generator's: that D finds them.
  infogan_gen: Penalty = dataclasses.field(default_factory=Penalty)
  # Of how real images were turned (disc.net.rotations; Chen et al. 2019, SSGAN,
  # whose weight is 1).
  ssgan: Penalty = dataclasses.field(default_factory=Penalty)
  # The generator's: of how its own were; theirs is 0.2.
  ssgan_gen: Penalty = dataclasses.field(default_factory=Penalty)
  # Of parts of real images that D finds by the whole (disc.net.infomax; Lee et
  # al. 2021, InfoMax-GAN, whose weight is 0.2).
  infomax: Penalty = dataclasses.field(default_factory=Penalty)
  # The generator's: of its own; theirs is 0.2, too.
  infomax_gen: Penalty = dataclasses.field(default_factory=Penalty)
  # Consistency of D's logits on real images and on a mirrored and moved view of
  # them; the papers' weight is 10.
  cr: Consistency = dataclasses.field(default_factory=Consistency)
  # The same of generated images; with `cr` it is bCR.
  cr_fake: Consistency = dataclasses.field(default_factory=Consistency)
  # Consistency of D's logits on fakes of near latents.
  zcr: Zcr = dataclasses.field(default_factory=Zcr)
  # The generator's: that fakes of near latents differ.
  zcr_gen: ZcrGen = dataclasses.field(default_factory=ZcrGen)
  # The generator's: inner products of its filters (Brock et al. 2019).
  orthogonal: Penalty = dataclasses.field(default_factory=Penalty)
  # The generator's: how far the means of D's last layer are from those of real
  # samples (Salimans et al. 2016), who have it with gen_loss_weight=0.
  feature_matching: FeatureMatching = dataclasses.field(
    default_factory=FeatureMatching
  )
  # Of StyleGAN2 (Karras et al. 2020); the generator's.
  path_length: PathLength = dataclasses.field(default_factory=PathLength)


@dataclasses.dataclass
class Diffusion:
  """The forward diffusion of augment.policy='diffusion'.

  Wang et al. 2023, "Diffusion-GAN", with the defaults of its authors' code.
  """

  # Steps of the chain, T, at augment.p=0.
  least_steps: int = declare.field(10, at_least=1)
  # The same at augment.p=1.
  most_steps: int = declare.field(1000, at_least=1)
  # The noise's share of the variance in step 1.
  beta_first: float = declare.field(1e-4, above=0, below=1)
  # The same in step T; linear between.
  beta_last: float = declare.field(0.02, above=0, below=1)
  # The standard deviation of the noise, where the data are images in [-1, 1] or
  # standardised points. Its authors also have 0.5.
  noise: float = declare.field(0.05, above=0)
  # Whether a step is as likely as it is late, or all steps alike.
  mixture: str = declare.field('priority', choices=('priority', 'uniform'))
  # The probability that a sample is shown as it is.
  untouched: float = declare.field(0.5, at_least=0, at_most=1)


@dataclasses.dataclass
class Augment:
  """What all samples undergo that D sees, real and generated.

  Nothing is augmented where samples or metrics are made.
  """

  # 'diffaugment' or a list of its parts ('color,translation,cutout'); ADA's
  # pipeline: 'ada.b' (flips, quarter turns, whole pixels), 'ada.bg' (all
  # geometry), 'ada.bgc' (colour, too), 'ada.bgcf' (filters), 'ada.bgcfn'
  # (noise) or 'ada.bgcfnc' (cutout); or 'r3gan': all of images. 'diffusion'
  # is of samples of any kind. '' is none.
  policy: str = ''
  # Of 'diffusion'.
  diffusion: Diffusion = dataclasses.field(default_factory=Diffusion)
  # APA: D is shown generated samples as real ones, each real sample's place
  # taken with probability p.
  pseudo: bool = False
  # The probability of each transform for each sample. DiffAugment's is 1, that
  # of R3GAN moves from 0 to 0.3 in most of its configurations. In 'diffusion'
  # it sets the length of the chain. Where it adapts, this is the first.
  p: float = declare.field(0.0, swept=True, at_least=0, at_most=1)
  # Moves p towards what D's overfitting asks for: 'sign', by the mean sign of D
  # on real samples, or 'mean', by the mean of D itself. '' does not. The sign
  # needs a loss in which 0 divides real from fake.
  adapt: str = ''
  # p moves up while that mean is above, and down while it is below.
  target: float = declare.field(0.6, swept=True)
  # Updates of D between two moves.
  interval: int = declare.field(4, at_least=1)
  # Thousands of samples in which p moves by 1. Diffusion-GAN's is 100.
  speed_kimg: float = declare.field(500.0, swept=True, above=0)
  # Before all of it every image is blurred by exp2(-(r / blur)^2) of the
  # distance r in pixels; 0 blurs none. That of StyleGAN3's configuration R
  # falls from 10 to 0.
  blur: float = declare.field(0.0, swept=True, at_least=0)


@dataclasses.dataclass
class LatentStep:
  """LOGAN (Wu et al. 2019): latents move uphill in D before both losses.

  Only in training; off while the rate is 0.
  """

  # alpha; 0.9 with the natural gradient.
  rate: float = declare.field(0.0, swept=True, at_least=0)
  # Steps of alpha g / (beta + |g|^2), where g is the gradient of D's logit, and
  # not of alpha g.
  natural: bool = True
  # beta.
  damping: float = declare.field(0.1, swept=True, above=0)
  # The share of latents that move, drawn at each update.
  share: float = declare.field(1.0, swept=True, above=0, at_most=1)
  # Of the steps' mean squared length in both losses.
  weight: float = declare.field(0.0, swept=True, at_least=0)


@dataclasses.dataclass
class Rule:
  """How the two players move.

  All but 'alternating' and 'lookahead' move both players at once, which allows
  one update of either in a step. 'consensus', 'sga' and 'unrolled'
  differentiate each player's loss with respect to the other's parameters, too;
  the points that R2 and WGAN-GP are taken at stay constants there.
  """

  # 'alternating', 'simultaneous', 'extragradient', 'optimistic', 'consensus',
  # 'sga' (symplectic gradient adjustment), 'lookahead' or 'unrolled'.
  name: str = 'alternating'
  # Of the squared norm of both players' gradients.
  consensus_weight: float = declare.field(0.1, swept=True, at_least=0)
  # Of the adjustment.
  sga_weight: float = declare.field(1.0, swept=True, at_least=0)
  # Whether the adjustment's sign is chosen at every step.
  sga_align: bool = True
  # Every so many steps both players go back.
  lookahead_steps: int = declare.field(5, at_least=1)
  # To this share of the way that they made.
  lookahead_alpha: float = declare.field(0.5, swept=True, above=0, at_most=1)
  # Updates of D that G looks ahead.
  unroll_steps: int = declare.field(5, at_least=1)


@dataclasses.dataclass
class Ema:
  """The moving average of the generator's parameters."""

  # In samples seen; 0 keeps the average equal to the live parameters.
  half_life: float = declare.field(0.0, swept=True, at_least=0)
  # Lengths of more averages, with commas between them ('0.05,0.1'), each a
  # standard deviation as a share of the run; '' has none. After training an
  # average of any length is made of them (EDM2, Karras et al. 2024, section 3).
  posthoc: str = ''
  # Steps between two times that these are stored in the run's folder; the last
  # are always stored.
  posthoc_every: int = declare.field(1000, at_least=1)


@dataclasses.dataclass
class Eval:
  """How the generator is evaluated, during training and after it."""

  # Use the averaged generator for samples, figures and metrics.
  ema: bool = True
  # Which average: one of the lengths of ema.posthoc; none is that of
  # ema.half_life.
  ema_length: float | None = declare.field(None, above=0)
  # Samples and metrics of truncated latents: the bound of each |z|, or psi of a
  # style network's w, of whose images that of 0 is the mean; none leaves them
  # whole. Not of what training shows.
  truncation: float | None = declare.field(None, at_least=0)
  # Steps of Langevin dynamics that move each latent to where D takes its sample
  # for real, for samples, figures of laws, and metrics (DDLS, Che et al. 2020);
  # 0 leaves it. Not of what training shows of images.
  langevin_steps: int = declare.field(0, at_least=0)
  # Their size, epsilon: z moves by epsilon / 2 times a gradient, and by normal
  # noise of variance epsilon.
  langevin_rate: float = declare.field(0.01, above=0)
  # The factor on that noise; 1 is the paper's algorithm.
  langevin_noise: float = declare.field(1.0, at_least=0)
  # What epsilon is multiplied by every langevin_decay_steps steps; 1 keeps it.
  langevin_decay: float = declare.field(1.0, above=0, at_most=1)
  # Steps of the same epsilon.
  langevin_decay_steps: int = declare.field(100, at_least=1)
  # Normalise samples by the statistics of their own batch, of as many as in
  # training, as some papers' code does, and not by running averages.
  batch_stats: bool = False
  # Samples behind the metrics.
  num_samples: int = declare.field(100_000, at_least=1)
  # Steps between two frames of the figures and image grids.
  every: int = declare.field(1000, at_least=1)
  # Metrics of images, with commas between them: fd_inception (or fid) and so
  # on for each network of `features`, fd_infinity, kid, cmmd, is, prdc, prd,
  # authenticity, copying, parzen, swd, memorisation, classes, intra_fd,
  # class_accuracy, cas, code_accuracy. Laws have figures of their own.
  metrics: str = ''
  # The real images to compare with; '' is data.split.
  split: str = ''
  # Images that the generator was not trained on, for parzen, memorisation,
  # copying, and each row's figures of overfitting.
  held_out: str = ''
  # The network whose features are compared: 'classifier', one of ours that is
  # trained on the spot, or 'inception', 'dinov2', 'clip', 'resnet50', 'swav',
  # 'dino' or 'swin', whose weights are read from a file.
  features: str = 'classifier'
  # That file; '' looks for the usual one in the cache.
  weights: str = ''
  # How images are brought to the size that the network takes: legacy_pytorch,
  # legacy_tensorflow, clean, friendly, pillow_bilinear, pillow_bicubic or
  # pillow_lanczos; '' is as the network's metrics are published.
  resizer: str = ''
  # The TFDS set whose split of that name the classifier learns.
  features_data: str = 'mnist'
  # That split; '' trains it on the images that G is trained on.
  features_split: str = ''
  # The most samples of each set whose features are kept: by kid, cmmd, prdc,
  # prd, fd_infinity, authenticity, copying and the bootstrap.
  features_kept: int = declare.field(10_000, at_least=1)
  # Resamples for the 95 % interval of fd_*, intra_fd, kid, cmmd and swd; 0
  # gives none.
  bootstrap: int = declare.field(0, at_least=0)
  # Beside intra_fd and class_accuracy those of each class, such as
  # intra_fd_0_classifier.
  by_class: bool = False
  # Random subsets of kid.
  kid_subsets: int = declare.field(100, at_least=1)
  # Samples in each of them.
  kid_subset_size: int = declare.field(1000, at_least=2)
  # Parts of the samples that the inception score is a mean over.
  is_splits: int = declare.field(10, at_least=1)


@dataclasses.dataclass
class Checkpoint:
  """When the state is stored, and how much of it is kept."""

  # Steps between two checkpoints; the final state is always kept.
  every: int = declare.field(1000, at_least=1)
  # How many of the latest checkpoints stay on disk.
  keep: int = declare.field(2, at_least=1)
  # Those at multiples of so many steps stay as well; 0 keeps none of them.
  keep_every: int = declare.field(0, at_least=0)
  # An evaluation figure, such as 'ks': the best by it stays as well.
  best: str = ''
  # Which is the better: 'min' or 'max'.
  best_mode: str = declare.field('min', choices=('min', 'max'))


@dataclasses.dataclass
class Log:
  """Where a run shows itself; changes no number of it."""

  # Write report.html, the page of the run, at its evaluations and at its end.
  page: bool = True
  # Draw health.png, population.png, figure.png, loss_path.png, evolution.gif,
  # which takes some seconds. What they show is kept in any case.
  pictures: bool = True
  # The project of Weights & Biases that it is sent to; '' sends it nowhere.
  # Without a key it is kept offline, in the run's folder.
  wandb: str = ''
  # Show settings and final figures in TensorBoard's HParams.
  hparams: bool = False


@dataclasses.dataclass
class Population:
  """Runs trained side by side in one program, which differ in numbers alone."""

  # Seeds from `seed` on, for each combination of what varies.
  seeds: int = declare.field(1, at_least=1)
  # Swept fields and the values to try, every combination of them:
  # {'penalties.r1.weight': [0.0, 0.1, 1.0]}. On the command line
  # --config.population.vary='penalties.r1.weight=0,0.1,1;ema.half_life=0,1e5'.
  vary: dict[str, list[float]] = dataclasses.field(default_factory=dict)
  # Members side by side on a device; 0 chooses by memory and speed.
  at_once: int = declare.field(0, at_least=0)
  # Steps after each of which only the better settings go on, each with all its
  # seeds, such as 2000,4000,8000 (successive halving); 0 keeps all to the end.
  halving: declare.Stages = declare.field(0, at_least=0)
  # The share of the settings that goes on, rounded down.
  halving_keep: float = declare.field(0.5, above=0, below=1)
  # The figure of the evaluations by whose mean over seeds they are ranked, such
  # as 'sliced_wasserstein_1': the least is the best, or the greatest, with '-'
  # before it: '-high_quality'.
  halving_by: str = ''


@dataclasses.dataclass
class Config:
  """An experiment. `seed` and these fields determine every number of it."""

  # Of the first weights, the batches and all draws.
  seed: int = declare.field(0, at_least=0, at_most=2**32 - 1)
  # Steps of the game: of one generator update, unless gen_steps says more.
  steps: int = declare.field(10_000, at_least=1, at_most=2**31 - 1)
  # What D judges at once: real and generated, this many of each.
  batch_size: int = declare.field(128, at_least=1)
  # saturating, minimax, non_saturating, least_squares, wasserstein, hinge,
  # relativistic_average, relativistic_paired; 'none' leaves each player with
  # its penalties.
  loss: str = 'non_saturating'
  # Of that loss in G's, beside its penalties.
  gen_loss_weight: float = declare.field(1.0, swept=True, at_least=0)
  # The share of its samples, those that D likes best, that G learns of; the
  # paper's falls from 1 to 0.5, by a hundredth in each epoch.
  gen_top_k: float = declare.field(1.0, swept=True, above=0, at_most=1)
  # Both players know the class of each sample; the data must have labels.
  conditional: bool = False
  # Discriminator updates in a step, before the generator's.
  disc_steps: int = declare.field(1, at_least=1)
  # Generator updates in a step; 2 in the first DCGAN code in TensorFlow.
  gen_steps: int = declare.field(1, at_least=1)
  # 'fresh': each of the generator's updates draws its own latents (and real
  # batch, where its loss has one); 'shared': all have those of D's last;
  # 'shared_pass': also the dropout, noise and augmentation of D's last pass
  # over them, as where one pass serves both players.
  latents: str = 'fresh'
  # How many times batch_size samples the generator's own update draws, of fresh
  # latents; 2 in SNGAN's code.
  gen_batches: int = declare.field(1, at_least=1)
  # PacGAN's m: D sees m samples of one kind at once, joined on the last axis.
  packing: int = declare.field(1, at_least=1)
  # Equal parts of its batch that an update goes through one after another, to
  # follow the mean of their gradients (gradient accumulation): less memory for
  # more time. What is a mean over a batch within a network or a loss, such as
  # batch statistics, is one over a part, and running averages move with each.
  microbatches: int = declare.field(1, at_least=1)
  # Activations: 'float32' or 'bfloat16'. Parameters are always float32.
  precision: str = 'float32'
  # Of the products of both networks in float32, where a device has faster ones
  # (a TPU, a GPU with TF32): 'highest' is float32 itself, 'default' the fastest
  # (bfloat16 on a TPU), 'high' three such products for one. What measures is
  # always at 'highest'.
  matmul_precision: str = declare.field(
    'highest', choices=('default', 'high', 'highest')
  )
  # On several devices: 'replicated', a copy of the state on each, or 'fsdp',
  # large arrays of it split over them, for networks that one cannot hold.
  sharding: str = declare.field('replicated', choices=('replicated', 'fsdp'))
  # Steps in one compiled call, and between two rows of the metrics.
  log_every: int = declare.field(100, at_least=1)
  # When a loss or a gradient is infinite or NaN: 'stop' with a message, 'skip'
  # that player's update and count it, or 'continue' regardless.
  nonfinite: str = declare.field('stop', choices=('stop', 'skip', 'continue'))
  # Another run whose weights this one starts from, as WORKDIR or WORKDIR:STEP,
  # or a folder of experiments.export; '' for random ones.
  init_from: str = ''
  # Whose weights init_from takes.
  init_player: str = declare.field('both', choices=('both', 'gen', 'disc'))
  # Another run whose whole state this one goes on from, with other settings, as
  # WORKDIR or WORKDIR:STEP; '' begins at step 0.
  branch_from: str = ''
  data: Data = dataclasses.field(default_factory=Data)
  gen: Gen = dataclasses.field(default_factory=Gen)
  disc: Disc = dataclasses.field(default_factory=Disc)
  optim: Optim = dataclasses.field(default_factory=Optim)
  # Swept fields that move during training, each to its schedule's `final`:
  # {'penalties.r1.weight': Schedule('cosine', 1.0, end=20_000)}. On the command
  # line --config.schedules.penalties.r1.weight=cosine,final=1,end=20000.
  schedules: dict[str, Schedule] = dataclasses.field(default_factory=dict)
  latent_step: LatentStep = dataclasses.field(default_factory=LatentStep)
  rule: Rule = dataclasses.field(default_factory=Rule)
  penalties: Penalties = dataclasses.field(default_factory=Penalties)
  augment: Augment = dataclasses.field(default_factory=Augment)
  ema: Ema = dataclasses.field(default_factory=Ema)
  eval: Eval = dataclasses.field(default_factory=Eval)
  checkpoint: Checkpoint = dataclasses.field(default_factory=Checkpoint)
  log: Log = dataclasses.field(default_factory=Log)
  population: Population = dataclasses.field(default_factory=Population)
