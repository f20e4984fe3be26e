"""How well the images of a run's generator move with its input.

  python -m experiments.equivariance --workdir=runs/stylegan3 --num=1000

Of StyleGAN3 (Karras et al. 2021, appendix E), in dB, greater is better: eq_t of
shifts by whole pixels, eq_t_frac of any shifts, eq_r of rotations. Needs no
data. Prints them and appends a line to the run's evaluations.jsonl with all
that they depend on. The authors' are of 50,000 images.
"""

import pathlib
from typing import Any

from absl import flags

from experiments import chosen, launch

_RUN = chosen.define()
_NUM = flags.DEFINE_integer('num', 50_000, 'Images.', lower_bound=1)
_SEED = flags.DEFINE_integer(
  'seed', 0, 'Of latents and transforms.', lower_bound=0,
  upper_bound=2**32 - 1,
)  # fmt: skip
_TRUNCATION = flags.DEFINE_float('truncation', None, 'psi of w.')


def main() -> None:
  if _RUN.workdir.value is None:
    raise ValueError('--workdir=DIR must be given')
  import jax

  from gan_jax.config import checks
  from gan_jax.evaluation import equivariance, evaluator as evaluations
  from gan_jax.run import trained
  from gan_jax.storage import workdir as workdirs

  run = _RUN.load()
  config = run.config
  # It is of w of latents as they are.
  config.eval.langevin_steps = 0
  if _TRUNCATION.value is not None:
    config.eval.truncation = _TRUNCATION.value
  checks.validate(config)
  equivariance.check(config, run.spec)
  figures = equivariance.measure(
    config,
    run.spec,
    run.info.shape[0],
    trained.generator(run),
    jax.random.key(_SEED.value),
    _NUM.value,
  )
  stamp: dict[str, Any] = {
    'step': int(run.state.step),
    'member': _RUN.member.value,
    'seed': _SEED.value,
    'num': _NUM.value,
    **evaluations.generator_stamp(config, run.spec),
    **workdirs.provenance(),
  }
  for name, value in figures.items():
    print(f'{name:10s} {value:8.2f} dB')
  record = pathlib.Path(_RUN.workdir.value) / 'evaluations.jsonl'
  evaluations.record(record, figures, stamp)


if __name__ == '__main__':
  launch.run(main)
