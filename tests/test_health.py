"""What of a chunk broke first, in words."""

import pytest

from gan_jax.engine import health


@pytest.mark.parametrize(
  ('first', 'expected'),
  [
    ({'disc/loss': 5, 'gen/loss': 5}, None),
    ({'disc/loss': 3, 'gen/loss': 2}, (2, 'G: its loss, penalties apart')),
    # D's penalty spoils its loss, and that what G learns of it.
    (
      {'gen/loss': 3, 'disc/loss': 3, 'penalties/r1': 3},
      (3, 'D: its penalty r1'),
    ),
    (
      {'gen/loss': 3, 'disc/loss': 5, 'penalties/path_length': 3},
      (3, 'G: its penalty path_length'),
    ),
    # G's looks through D.
    (
      {'penalties/acgan_gen': 1, 'disc/grad_norm': 1},
      (1, 'D: its gradient, where its loss is finite'),
    ),
  ],
)
def test_who_broke_first(first: dict[str, int], expected: object):
  assert health.first_broken(first, 5) == expected
