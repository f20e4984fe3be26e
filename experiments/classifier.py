"""Trains the classifier that metrics use, and says how good it is.

  python -m experiments.classifier --name=mnist --data_dir=DIR

Any set of images with labels will do, grey or coloured. A tenth is held out, by
a fixed rule, and the share of it that is classified rightly is printed; it
stands beside every figure too. The classifier is kept in ~/.cache/gan_jax
($XDG_CACHE_HOME is heeded) under a name that holds a hash of its configuration
and images, so that whatever asks for the same finds it.
"""

import time

from absl import flags

from experiments import launch

_NAME = flags.DEFINE_string('name', 'mnist', 'As data.name.')
_DIR = flags.DEFINE_string('data_dir', '', 'As data.dir.')
_SPLIT = flags.DEFINE_string('split', 'train', 'As data.split.')
_SIZE = flags.DEFINE_integer('size', 0, 'As data.size.', lower_bound=0)


def main() -> None:
  # Imported here: a wrong flag is answered at once.
  from gan_jax.config import fields
  from gan_jax.data import opening
  from gan_jax.evaluation import extractors, sets

  data = fields.Data(
    name=_NAME.value, dir=_DIR.value, split=_SPLIT.value, size=_SIZE.value
  )
  image_set, _ = opening.open_split(data, data.split)
  began = time.monotonic()
  extractor = extractors.make(
    fields.Eval(),
    lambda: extractors.Learnt(sets.in_any_order(image_set), True),
  )
  print(f'trained, or read, in {time.monotonic() - began:.1f} s')
  for name, value in extractor.facts.items():
    print(f'{name:24s} {value}')
  print(f'{"features_sha256":24s} {extractor.sha256}')


if __name__ == '__main__':
  launch.run(main)
