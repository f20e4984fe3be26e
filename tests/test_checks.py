"""Images that a metric must refuse, and those that it must not."""

import numpy as np
import numpy.typing as npt
import pytest
import sklearn.datasets

from gan_jax.metrics import checks

DIGITS = sklearn.datasets.load_digits().images[:50, :, :, None]  # In 0 ... 16.


def check(images: npt.ArrayLike, name: str = 'images') -> None:
  """Of a whole set."""
  checks.result(checks.update(checks.init(), images, name), name)


def test_real_digits_pass():
  """Nearly all of them reach both ends of the range."""
  check(DIGITS / 8 - 1)
  check((DIGITS / 8 - 1).astype(np.float32) * 0.9)


@pytest.mark.parametrize(
  ('images', 'line'),
  [
    (DIGITS * 16 - 0.5 * (DIGITS > 15), r'they seem left in \[0, 255\]'),
    (DIGITS / 16, r'^images are in \[0, 1\], without .* scaled to \[0, 1\]'),
    (DIGITS / 4 - 1, r'^images are in \[-1, 3\]: they must be in \[-1, 1\]$'),
    (DIGITS / 8 - 2, r'^images are in \[-2, 0\]: they must be in \[-1, 1\]$'),
    ((DIGITS * 15).astype(np.uint8), r'^images are uint8: they must be float'),
    (np.where(DIGITS == 3, np.nan, -1), r'^images: some pixels are not fin'),
    (np.where(DIGITS == 3, np.inf, -1), r'^images: some pixels are not fin'),
    (DIGITS[..., 0], r'^images must have shape .* got \[50, 8, 8\]$'),
    (DIGITS[:0], r'^images must have shape .* got \[0, 8, 8, 1\]$'),
  ],
)
def test_what_is_refused(images: np.ndarray, line: str):
  with pytest.raises(ValueError, match=line):
    check(images)


def test_the_message_names_the_set():
  with pytest.raises(ValueError, match=r'^the real set: some pixels'):
    check(np.full((1, 2, 2, 1), np.nan), 'the real set')


def test_a_set_is_judged_by_all_of_its_blocks():
  """One block may be bright; a set that is never dark is scaled wrongly."""
  bright, dark = np.full((2, 3, 3, 1), 0.5), np.full((2, 3, 3, 1), -0.5)
  for first, second in ((bright, dark), (dark, bright)):
    checks.result(checks.update(checks.update(checks.init(), first), second))
  with pytest.raises(ValueError, match=r'^images are in \[0.5, 0.5\], without'):
    checks.result(checks.update(checks.init(), bright))
