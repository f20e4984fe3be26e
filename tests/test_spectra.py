"""Power spectra: closed forms, a second computation, sets of images, runs."""

import json
import pathlib
import shutil

import jax
import numpy as np
import pytest
import scipy.fft
import scipy.signal
from sklearn import datasets

from gan_jax.config import fields as configs
from gan_jax.evaluation import power_spectra as measured
from gan_jax.metrics import power_spectra as spectra
from gan_jax.networks import mlp
from gan_jax.run import train, trained
from tests import test_experiments as programs

SIDE = 8


def power(
  images: np.ndarray, mean: float = 0.0, std: float = 1.0
) -> np.ndarray:
  """Of a set, in blocks of three."""
  found = spectra.init(images.shape[1])
  for start in range(0, len(images), 3):
    found = spectra.update(found, images[start : start + 3], mean, std)
  return spectra.result(found)


def windowed(images: np.ndarray, mean: float, std: float) -> np.ndarray:
  """Whitened, with a window of SciPy's of which the squares add up to 1."""
  taper = scipy.signal.windows.kaiser(images.shape[1], 8.0)
  plane = np.outer(taper, taper)
  plane /= np.sqrt((plane**2).sum())
  return (images - mean) / std * plane[None, :, :, None]


def directly(images: np.ndarray, mean: float, std: float) -> np.ndarray:
  """By a transform of the images and 3N zeros along both axes."""
  side = 4 * images.shape[1]
  x = windowed(images, mean, std)
  amplitudes = scipy.fft.fft2(x, (side, side), axes=(1, 2))
  return (np.abs(amplitudes) ** 2).mean(axis=(0, 3))


def wave(across: float, down: float, side: int = 32) -> np.ndarray:
  """cos of so many periods an image, `[1, N, N, 1]`."""
  place = np.arange(side) / side
  angle = 2 * np.pi * (down * place[:, None] + across * place)
  return np.cos(angle)[None, :, :, None]


# Arrays.


@pytest.mark.parametrize('side', [7, 8])
def test_a_second_computation(side: int, monkeypatch: pytest.MonkeyPatch):
  monkeypatch.setattr(spectra, '_MOST', 2 * 3 * 2 * side * (side + 1))
  images = np.random.default_rng(0).uniform(0, 255, (5, side, side, 3))
  found = power(images, 90.0, 60.0)
  expected = directly(images, 90.0, 60.0)
  np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_parseval():
  """The mean over all frequencies is the energy of the windowed images."""
  images = np.random.default_rng(1).normal(3.0, 2.0, (4, SIDE, SIDE, 2))
  energy = (windowed(images, 1.0, 5.0) ** 2).sum(axis=(1, 2)).mean()
  assert power(images, 1.0, 5.0).mean() == pytest.approx(energy, rel=1e-12)


def test_white_noise_is_flat():
  """At 0 dB, once it is whitened."""
  noise = np.random.default_rng(2).normal(100.0, 20.0, (4000, SIDE, SIDE, 1))
  moments = spectra.Moments()
  for block in np.split(noise, [10, 1000]):
    moments = spectra.update_moments(moments, block)
  spectrum = spectra.update(
    spectra.init(SIDE), noise, moments.mean, moments.std
  )
  found = spectra.result(spectrum)
  # An exponential law divided by the root of 4,000; cosines have twice that.
  assert abs(found - 1).max() < 5 * np.sqrt(2 / 4000)
  for curve in (spectra.horizontal, spectra.diagonal, spectra.azimuthal):
    assert abs(curve(found).decibels).max() < 0.5


def test_waves_are_where_they_belong():
  """Of amplitude 1: a fourth of the window's squared sum, at its frequency."""
  taper = scipy.signal.windows.kaiser(32, 8.0)
  peak = (taper.sum() ** 2 / (taper**2).sum()) ** 2 / 4
  for across, down, curve, place in (
    (10, 0, spectra.horizontal, 10.0),
    (7.25, 0, spectra.horizontal, 7.25),
    (8, 8, spectra.diagonal, 8 * np.sqrt(2)),
  ):
    found = curve(power(wave(across, down)))
    top = found.decibels.argmax()
    assert found.frequency[top] == pytest.approx(place)
    assert found.decibels[top] == pytest.approx(10 * np.log10(peak), abs=1e-3)
  # What goes down is not in the slice of what goes across.
  assert spectra.horizontal(power(wave(0, 10))).decibels[40] < -40
  for across, down in ((10, 0), (0, 10), (6, -8)):
    rings = spectra.azimuthal(power(wave(across, down)))
    assert rings.decibels.argmax() == 10
    assert rings.frequency[10] == 10


def test_rings_by_hand():
  """Each frequency of images of 4 x 4 is in one ring, the corners in none."""
  values = np.random.default_rng(3).uniform(1, 2, (16, 16))
  rings: dict[int, list[float]] = {}
  for i in range(16):
    for j in range(16):
      u, v = ((x if x < 8 else x - 16) / 4 for x in (i, j))
      rings.setdefault(int(np.hypot(u, v) + 0.5), []).append(values[i, j])
  found = spectra.azimuthal(values)
  assert found.frequency.tolist() == [0, 1, 2]
  expected = [10 * np.log10(np.mean(rings[k])) for k in range(3)]
  np.testing.assert_allclose(found.decibels, expected, rtol=1e-12)
  assert max(rings) == 3
  ends = (
    spectra.horizontal(values).frequency,
    spectra.diagonal(values).frequency,
  )
  assert [len(x) for x in ends] == [9, 9]
  np.testing.assert_allclose([x[-1] for x in ends], [2, 2 * np.sqrt(2)])


def test_moments_of_blocks():
  x = np.random.default_rng(4).integers(0, 256, (50, 3, 5, 3)).astype(np.uint8)
  x[:20] //= 3
  moments = spectra.Moments()
  for block in np.split(x, [7, 20, 49]):
    moments = spectra.update_moments(moments, block)
  assert moments.mean == pytest.approx(x.mean(), rel=1e-13)
  assert moments.std == pytest.approx(x.std(), rel=1e-13)


def test_differences_by_hand():
  frequency = np.arange(5.0)
  a = spectra.Curve(frequency, np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
  b = spectra.Curve(frequency, np.array([1.0, 0.0, 6.0, 5.0, 7.0]))
  assert spectra.difference(a, b) == (1.6, 1.5, -1.5)
  assert spectra.difference(b, a) == (1.6, 1.5, 1.5)
  nothing = spectra.Curve(frequency, np.full(5, -np.inf))
  assert spectra.difference(nothing, nothing) == (0, 0, 0)
  assert spectra.difference(nothing, a) == (np.inf, np.inf, -np.inf)


def test_what_arrays_are_refused():
  with pytest.raises(ValueError, match=r'of 8 x 8 pixels.*\[2, 8, 9, 1\]'):
    spectra.update(spectra.init(8), np.zeros((2, 8, 9, 1)), 0, 1)
  with pytest.raises(ValueError, match='at least one image'):
    spectra.result(spectra.init(8))


# Sets of images.


def save(path: pathlib.Path, images: np.ndarray) -> pathlib.Path:
  np.savez(path, images=images)
  return path


def of_paths(
  tmp_path: pathlib.Path,
  generated: np.ndarray,
  real: np.ndarray,
  **rest: int | None,
) -> measured.Found:
  scratch = tmp_path / 'scratch'
  shutil.rmtree(scratch, ignore_errors=True)
  scratch.mkdir()
  paths = {
    'generated': save(tmp_path / 'generated.npz', generated),
    'real': save(tmp_path / 'real.npz', real),
  }
  return measured.of_paths(paths, scratch, **rest)


def coins(mean: int, away: int) -> np.ndarray:
  """Images of two colours, which have exactly this mean."""
  x = np.tile(np.array([-1, 1]), 20 * SIDE * SIDE // 2)
  x = np.random.default_rng(5).permutation(x).reshape(20, SIDE, SIDE, 1)
  return (mean + away * x).astype(np.uint8)


def test_half_the_contrast(tmp_path: pathlib.Path):
  """Lacks 20 log10(2) dB at each frequency."""
  found = of_paths(tmp_path, coins(140, 20), coins(140, 40))
  lost = 20 * np.log10(2)
  figures = found.figures()
  assert figures == pytest.approx(
    {
      'spectrum_difference': lost,
      'spectrum_difference_high': lost,
      'spectrum_excess_high': -lost,
    }
  )
  assert found.stamp['pixels_mean'] == pytest.approx(140)
  assert found.stamp['pixels_std'] == pytest.approx(40)
  images = coins(140, 40).astype(float)
  # In another order.
  np.testing.assert_allclose(found.real, directly(images, 140, 40), rtol=1e-9)


def test_floating_point_images_are_rounded(tmp_path: pathlib.Path):
  """As a file of 8 bits has them."""
  whole = coins(140, 40)
  generated = (whole + np.float32(0.3)) / 127.5 - 1
  found = of_paths(tmp_path, generated.astype(np.float32), whole)
  assert set(found.figures().values()) == {0.0}


def test_how_many_images(tmp_path: pathlib.Path):
  for real, num, used in ((20, 9, 9), (6, 9, 6), (6, None, 6)):
    (tmp_path / str(real)).mkdir(exist_ok=True)
    found = of_paths(
      tmp_path / str(real), coins(140, 20), coins(140, 40)[:real], num=num
    )
    assert found.stamp['num_generated'] == (num or 20)
    assert found.stamp['num_real'] == used


@pytest.mark.parametrize(
  ('generated', 'real', 'num', 'message'),
  [
    (coins(9, 1), coins(9, 1), 21, '--num=21: there are 20 images'),
    (coins(9, 1), coins(9, 1)[:, :6, :6], 1, '--generated=.* 8x8x1, and real'),
    (
      coins(9, 1)[:, :6], coins(9, 1)[:, :6], 1,
      'of 6x8 pixels: a spectrum by angle needs square',
    ),
    (coins(9, 1), coins(9, 0), 1, 'real images are all of one colour'),
  ],
)  # fmt: skip
def test_what_sets_are_refused(
  tmp_path: pathlib.Path,
  generated: np.ndarray,
  real: np.ndarray,
  num: int,
  message: str,
):
  with pytest.raises(ValueError, match=message):
    of_paths(tmp_path, generated, real, num=num)


# Runs.


def test_of_a_run(tmp_path: pathlib.Path):
  """Its samples and its images by the second computation; then the program."""
  config = configs.Config(steps=2, batch_size=8, log_every=2)
  config.data.name = 'digits'
  config.gen.net = mlp.GenSettings(width=8, depth=1)
  config.disc.net = mlp.DiscSettings(width=8, depth=1)
  config.eval.every = 2
  workdir = tmp_path / 'run'
  train.train(config, workdir)
  run = trained.load(workdir)
  key = jax.random.key(3)
  found = measured.of_run(run.config, run.spec, run.info, run.state, key, 1800)
  real = (datasets.load_digits().images * 255 / 16).round()[..., None]
  batches = [batch.x for batch in trained.samples(run, 1800, seed=3)]
  generated = ((np.concatenate(batches) + 1) * 127.5).round()
  facts = real.mean(), real.std()
  np.testing.assert_allclose(found.real, directly(real, *facts), rtol=1e-6)
  expected = directly(generated, *facts)
  np.testing.assert_allclose(found.generated, expected, rtol=1e-6)
  assert found.stamp['num_real'] == 1797
  rings = [spectra.azimuthal(x).decibels for x in (found.generated, found.real)]
  apart = rings[0] - rings[1]
  figures = {
    'spectrum_difference': np.abs(apart).mean(),
    'spectrum_difference_high': np.abs(apart[3:]).mean(),
    'spectrum_excess_high': apart[3:].mean(),
  }

  out, lines = tmp_path / 'a.png', tmp_path / 'a.jsonl'
  done = programs.python(
    'experiments.spectra', f'--workdir={workdir}', '--num=1800', '--seed=3',
    f'--out={out}', f'--json={lines}',
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  assert out.read_bytes()[:4] == b'\x89PNG'
  (line,) = (workdir / 'evaluations.jsonl').read_text().splitlines()
  told = json.loads(line)
  assert told['figures'] == pytest.approx(figures)
  assert told['stamp']['seed'] == 3
  assert told['stamp']['split_fingerprint'] == run.info.fingerprint
  assert 'left out: phases' in done.stdout
  curves = json.loads(lines.read_text())['curves']
  np.testing.assert_allclose(curves['azimuthal']['generated'], rings[0])
  np.testing.assert_allclose(
    curves['horizontal']['frequency'], np.arange(17) / 4
  )


@pytest.mark.parametrize(
  ('flags', 'message'),
  [
    (
      ['--out=a.png'],
      '--workdir=DIR, or --generated and --real, must be given',
    ),
    (['--workdir=nowhere'], '--out=FILE must be given'),
    (['--generated=a.npz', '--out=a.png'], '--real=PATH must be given'),
    (
      ['--workdir=a', '--size=8', '--out=a.png'],
      '--size: needs --generated and --real',
    ),
  ],
)  # fmt: skip
def test_mistakes_are_one_line(flags: list[str], message: str):
  done = programs.python('experiments.spectra', *flags)
  assert done.returncode == 1
  assert done.stderr == f'error: {message}\n'
