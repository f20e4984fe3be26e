"""How far the images of a run's generator move where its input moves by little.

  python -m experiments.path_length --workdir=runs/stylegan2 --num=50000 \
    --vgg=vgg16-397923af.pth --lpips=lpips_vgg.pth

The perceptual path length (PPL, Karras et al. 2019), smaller is smoother: of w,
or with --space=z of z, which every network has; at the beginning of a way, or
with --anywhere at any place of it. LPIPS needs two files of weights, which a
line names where they are not there. Needs no data. Prints the figure and
appends a line to the run's evaluations.jsonl with all that it depends on. The
authors' is of 50,000 ways, ppl2_wend.
"""

import pathlib
from typing import Any

from absl import flags

from experiments import chosen, launch

_RUN = chosen.define()
_NUM = flags.DEFINE_integer('num', 50_000, 'Ways.', lower_bound=1)
_SEED = flags.DEFINE_integer(
  'seed', 0, 'Of all that is drawn.', lower_bound=0, upper_bound=2**32 - 1
)
_TRUNCATION = chosen.define_truncation()
_SPACE = flags.DEFINE_enum('space', 'w', ['w', 'z'], 'What moves.')
_ANYWHERE = flags.DEFINE_bool(
  'anywhere', False, 'Steps at any place of a way, and not at its beginning.'
)
_FACE = flags.DEFINE_bool(
  'face', False, 'Compare the part of an image that holds the face in FFHQ.'
)
_VGG = flags.DEFINE_string('vgg', '', "torchvision's VGG-16.")
_LPIPS = flags.DEFINE_string('lpips', '', 'The weights of its channels.')


def main() -> None:
  if _RUN.workdir.value is None:
    raise ValueError('--workdir=DIR must be given')
  import jax

  from gan_jax.config import checks
  from gan_jax.evaluation import evaluator as evaluations, lpips, path_length
  from gan_jax.run import trained
  from gan_jax.storage import workdir as workdirs

  run = _RUN.load()
  # It is of latents as they are.
  run.config.eval.langevin_steps = 0
  if _TRUNCATION.value is not None:
    run.config.eval.truncation = _TRUNCATION.value
  checks.validate(run.config)
  # With all digits: a step is of 1e-4.
  run = trained.in_float32(run)
  options = path_length.Options(_SPACE.value, _ANYWHERE.value, _FACE.value)
  path_length.check(run.config, run.spec, run.info.shape, options)
  distance = lpips.read(_VGG.value, _LPIPS.value)
  figures = path_length.measure(
    run.config,
    run.spec,
    trained.generator(run),
    distance,
    jax.random.key(_SEED.value),
    _NUM.value,
    options,
  )
  stamp: dict[str, Any] = {
    'step': int(run.state.step),
    'member': _RUN.member.value,
    'seed': _SEED.value,
    'num': _NUM.value,
    'face': options.face,
    **distance.facts,
    **evaluations.generator_stamp(run.config, run.spec),
    **workdirs.provenance(),
  }
  for name, value in figures.items():
    print(f'{name:10s} {value:10.4f}')
  record = pathlib.Path(_RUN.workdir.value) / 'evaluations.jsonl'
  evaluations.record(record, figures, stamp)


if __name__ == '__main__':
  launch.run(main)
