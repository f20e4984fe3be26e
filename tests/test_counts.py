"""Parameters of the networks that configurations describe.

The numbers are of the papers' tables, or counted in the authors' own code, as
said beside each.
"""

import math

import jax
import pytest

from experiments import fitting
from gan_jax.config import overrides
from gan_jax.data import absent
from gan_jax.engine import build

KEY = jax.random.key(0)
CONFIGS = dict(fitting.titles())

# Title, changes, and the counts of G and D.
COUNTS = [
  # Counted in pfnet-research/sngan_projection.
  ('cifar10:sngan', {}, 4_276_739, 1_053_824),
  ('cifar10:sngan', {'conditional': 'true'}, 4_304_387, 1_055_104),
  ('images:sngan', {}, 12_220_675, 10_141_441),
  ('images:sngan', {'data.size': '128'}, 32_150_787, 29_017_857),
  # With classes: the above, and of G's 4,928 channels under class batch
  # normalisation 999 pairs more, of D an embedding of 1,000 x 1,024.
  (
    'imagenet:sngan', {},
    32_150_787 + 2 * 4_928 * 999, 29_017_857 + 1_000 * 1_024,
  ),
  # Counted in kwotsin/mimicry: tables 5 and 6 of Miyato et al. 2018.
  ('images:sngan', {'data.size': '48'}, 4_878_083, 10_141_441),
  # Their table 3, by hand: each layer of G has a bias, and its convolutions
  # upwards pairs of gains and biases.
  (
    'cifar10:sngan',
    {'gen.net.architecture': 'cnn', 'disc.net.architecture': 'cnn'},
    3_812_355, 2_935_873,
  ),
  # The first DCGAN code in TensorFlow, in fjxmlzn/PacGAN, by its layers.
  ('stacked_mnist:veegan', {}, 4_514_819, 4_310_401),
  # Counted in ajbrock/BigGAN-PyTorch; 128x128 is in compare_gan, too.
  ('cifar10:biggan', {}, 4_304_387, 4_207_361),
  # There attention at 16x16 is after each of D's blocks, here after the first.
  (
    'imagenet:biggan_32', {'disc.net.attention': '0'},
    9_542_916, 9_836_929,
  ),
  ('imagenet:sagan', {}, 42_017_412, 39_448_258),
  ('imagenet:biggan_64', {}, 70_222_212, 45_511_970),
  ('imagenet:128', {}, 70_433_988, 87_982_370),
  # With attention at 128x128 in G and at 64x64 in D, as compare_gan has it,
  # whose D is smaller by one shortcut of 768 channels.
  (
    'imagenet:128',
    {
      'data.size': '256', 'gen.latent_dim': '140', 'gen.net.attention': '128'
    },
    82_097_604, 98_635_298 + 768 * 768 + 768,
  ),
  # Counted in ajbrock/BigGAN-PyTorch, BigGANdeep.py.
  ('imagenet:biggan_deep', {}, 50_244_484, 34_590_210),
  ('imagenet:biggan_deep', {'data.size': '256'}, 55_736_708, 38_247_426),
  (
    'imagenet:biggan_deep',
    {
      'data.size': '64', 'gen.net.attention': '32', 'disc.net.attention': '32'
    },
    49_829_636, 20_951_554,
  ),
  (
    'imagenet:biggan_deep',
    {'data.size': '32', 'gen.net.attention': '16', 'disc.net.attention': '0'},
    7_889_668, 3_088_129,
  ),
  # Counted in NVlabs/stylegan2-ada-pytorch; the first is in table 2 of Huang et
  # al. 2024, in millions.
  ('ffhq:stylegan2_256', {}, 24_767_458, 24_001_089),
  ('ffhq:stylegan2_1024', {}, 30_370_060, 29_012_513),
  ('images:stylegan2', {}, 22_243_608, 23_407_361),
  ('images:stylegan2_128', {}, 22_949_277, 23_882_369),
  ('images:stylegan2_256', {}, 23_191_522, 24_001_089),
  ('images:stylegan2_512', {}, 28_700_647, 28_982_849),
  ('images:stylegan2_1024', {}, 28_794_124, 29_012_513),
  ('images:paper512', {}, 30_276_583, 28_982_849),
  ('images:paper1024', {}, 30_370_060, 29_012_513),
  # Counted in NVlabs/stylegan3; D is StyleGAN2's.
  ('ffhq:stylegan3_t_256', {}, 23_320_443, 24_001_089),
  ('ffhq:stylegan3_r_256', {}, 15_779_565, 24_001_089),
  ('ffhq:stylegan3_t_1024', {}, 22_313_167, 29_012_513),
  ('ffhq:stylegan3_r_1024', {}, 15_093_151, 29_012_513),
  ('images:stylegan3_256', {}, 28_472_133, 28_864_129),
  ('cifar10:stylegan2', {}, 19_947_539, 20_720_641),
  ('cifar10:stylegan2', {'conditional': 'true'}, 20_215_315, 23_089_664),
  # Rounded in table 9 and section 3.5 of Huang et al. 2024; counted by the
  # layers of their code.
  ('stacked_mnist:r3gan', {}, 20_732_160, 20_683_776),
  ('cifar10:r3gan', {}, 20_781_952, 21_280_512),
  ('ffhq:64', {}, 22_429_824, 22_381_440),
  ('ffhq:256', {}, 23_057_952, 23_009_568),
  ('imagenet:32', {}, 82_914_304, 86_548_992),
  ('imagenet:64', {}, 103_570_432, 107_205_120),
  # Counted in IFeelBloated/R3GAN2, by its presets.
  ('cifar10:r3gan2', {}, 17_335_425, 17_720_832),
  ('images:r3gan2', {}, 22_653_441, 22_572_544),
  ('ffhq:r3gan2_256', {}, 24_855_425, 24_771_456),
  ('imagenet:r3gan2_32', {}, 60_947_969, 63_718_400),
  ('imagenet:r3gan2_64', {}, 80_104_961, 82_867_200),
]  # fmt: skip


@pytest.mark.parametrize(('title', 'changes', 'gen', 'disc'), COUNTS)
def test_as_many_parameters_as_published(
  title: str, changes: dict[str, str], gen: int, disc: int
):
  config = fitting.load(CONFIGS[title], title)
  config = overrides.apply(config, list(changes.items()), build.complete)
  source = absent.open_absent(
    config.data, KEY, build.step_shape(config), absent.ImageSpec()
  )
  spec = build.make_spec(config, source.info)
  found = [
    sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))
    for params, _ in (
      jax.eval_shape(network.init, KEY) for network in (spec.gen, spec.disc)
    )
  ]
  assert found == [gen, disc]
