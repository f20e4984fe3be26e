"""Trains the classifier of digits that metrics use, and measures it.

  python -m experiments.digit_features --data_dir=DIR

The classifier is kept in ~/.cache/gan_jax ($XDG_CACHE_HOME is heeded) under a
name that holds a hash of its configuration and images, so that whatever asks
for the same finds it.
"""

import time

from absl import flags

from experiments import launch

_NAME = flags.DEFINE_string('name', 'mnist', "A TFDS set's name.")
_DIR = flags.DEFINE_string('data_dir', '', 'As data.dir in a configuration.')
_SPLIT = flags.DEFINE_string('split', 'test[:90%]', 'To train on.')
_HELD_OUT = flags.DEFINE_string('held_out', 'test[90%:]', 'To measure on.')


def main() -> None:
  # Imported here: a wrong flag is answered at once.
  import numpy as np

  from gan_jax.data import images
  from gan_jax.evaluation import features

  def read(split: str) -> tuple[np.ndarray, np.ndarray]:
    source = images.tfds(_NAME.value, _DIR.value, split, 0, 1, ())
    x, labels = source.fetch(range(source.total))
    if labels is None:
      raise ValueError(f'--name={_NAME.value}: its images have no labels')
    return x.astype(np.float32) / 127.5 - 1, labels

  x, labels = read(_SPLIT.value)
  began = time.monotonic()
  extractor = features.digits(x, labels)
  seconds = time.monotonic() - began
  held_out, expected = read(_HELD_OUT.value)
  logits = [seen.logits for seen in features.perceive(extractor, held_out)]
  right = np.concatenate(logits).argmax(axis=1) == expected
  print(f'trained on {len(x)} images, or read, in {seconds:.1f} s')
  print(f'{right.sum()} of {len(right)} held-out images right')
  print(f'sha256 of the weights {extractor.sha256}')


if __name__ == '__main__':
  launch.run(main)
