"""Two sets on the disk, against the formulas of public implementations.

Those of pytorch-fid (a matrix square root), of torch-fidelity (the polynomial
kernel's distance over subsets) and of prdc (distances of all pairs) are written
here from their definitions, in float64, and given the same features.
"""

import json
import os
import pathlib
import subprocess
import sys
import zipfile
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import PIL.Image
import pytest
from scipy import linalg, spatial, special

from gan_jax import types
from gan_jax.config import fields as configs
from gan_jax.evaluation import extractors, features, paths, sets

KEY = jax.random.key(0)
ROOT = pathlib.Path(__file__).parent.parent


def pictures(num: int, seed: int, *, dark: int = 0) -> np.ndarray:
  """Smooth noise, `[num, 8, 8, 3]` uint8."""
  rng = np.random.default_rng(seed)
  coarse = rng.integers(0, 256 - dark, (num, 4, 4, 3))
  return coarse.repeat(2, axis=1).repeat(2, axis=2).astype(np.uint8)


def write_folder(folder: pathlib.Path, x: np.ndarray, classes: int = 0) -> None:
  for i, image in enumerate(x):
    parent = folder / f'class{i % classes}' if classes else folder
    parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(image).save(parent / f'{i:05d}.png')


def write_zip(path: pathlib.Path, folder: pathlib.Path) -> None:
  with zipfile.ZipFile(path, 'w') as archive:
    for file in sorted(folder.rglob('*.png')):
      archive.write(file, file.relative_to(folder))


def look(params: Any, x: jax.Array) -> types.Features:
  """Twelve features and five logits of an image, by fixed random weights."""
  rng = np.random.default_rng(7)
  flat = x.reshape(len(x), -1)
  a = jnp.asarray(rng.normal(size=(192, 12)) / 8, jnp.float32)
  b = jnp.asarray(rng.normal(size=(12, 5)), jnp.float32)
  seen = jax.nn.relu(jnp.matmul(flat, a, precision='highest'))
  return types.Features(seen, seen @ b)


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> None:
  extractor = features.Extractor('inception', 'none', {}, jax.jit(look))
  monkeypatch.setattr(extractors, 'make', lambda *_: extractor)


def seen(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  found = look({}, jnp.asarray(x / 127.5 - 1, jnp.float32))
  return np.float64(found.features), np.float64(found.logits)


def fid(a: np.ndarray, b: np.ndarray) -> float:
  cov = [np.cov(x, rowvar=False) for x in (a, b)]
  root = linalg.sqrtm(cov[0] @ cov[1]).real
  gap = a.mean(0) - b.mean(0)
  return float(gap @ gap + np.trace(cov[0] + cov[1] - 2 * root))


def kid(a: np.ndarray, b: np.ndarray) -> float:
  def k(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (x @ y.T / x.shape[1] + 1) ** 3

  m = len(a)
  off = [(k(x, x).sum() - np.trace(k(x, x))) / (m * (m - 1)) for x in (a, b)]
  return float(off[0] + off[1] - 2 * k(a, b).mean())


def prdc(real: np.ndarray, fake: np.ndarray) -> dict[str, float]:
  def radii(x: np.ndarray, k: int) -> np.ndarray:
    return np.sort(spatial.distance.cdist(x, x), axis=1)[:, k]

  between = spatial.distance.cdist(real, fake)
  dense = between <= radii(real, 5)[:, None]
  return {
    'precision': (between <= radii(real, 3)[:, None]).any(0).mean(),
    'recall': (between <= radii(fake, 3)[None]).any(1).mean(),
    'density': dense.sum() / (5 * len(fake)),
    'coverage': dense.any(1).mean(),
  }


def inception_score(logits: np.ndarray) -> float:
  p = special.softmax(logits, axis=1)
  kl = (p * (np.log(p) - np.log(p.mean(0)))).sum(1)
  return float(np.exp(kl.mean()))


@pytest.mark.parametrize('form', ['folder', 'zip', 'npz', 'floats'])
def test_figures_against_independent_arithmetic(
  form: str, network: None, tmp_path: pathlib.Path
):
  real, fake = pictures(300, 0), pictures(300, 1, dark=40)
  found = {}
  for name, x in (('real', real), ('generated', fake)):
    path = found[name] = tmp_path / name
    if form in ('folder', 'zip'):
      write_folder(path, x)
    if form == 'zip':
      found[name] = tmp_path / f'{name}.zip'
      write_zip(found[name], path)
    if form == 'npz':
      found[name] = tmp_path / f'{name}.npz'
      np.savez_compressed(found[name], x)
    if form == 'floats':
      found[name] = tmp_path / f'{name}.npz'
      other = np.arange(3)
      np.savez(found[name], other=other, images=np.float32(x / 127.5 - 1))
  settings = configs.Eval(
    metrics='fid,kid,is,prdc,swd',
    features='inception',
    kid_subset_size=300,
    kid_subsets=2,
    is_splits=1,
  )
  scratch = tmp_path / 'scratch'
  scratch.mkdir()
  ours = paths.compare(found, settings, scratch, KEY)
  (a, _), (b, logits) = seen(real), seen(fake)
  expected = {
    'fd': fid(a, b),
    # A subset of all samples is the set.
    'kid': kid(a, b),
    'kid_std': 0,
    'is': inception_score(logits),
    'is_std': 0,
    **prdc(a, b),
  }
  assert 0.1 < expected['precision'] < 0.99
  assert expected['fd'] > 0.1
  assert expected['is'] > 1.01
  for name, value in expected.items():
    figure = ours.figures[f'{name}_inception']
    assert figure == pytest.approx(value, rel=2e-5, abs=2e-6), name
  assert ours.figures['swd'] > 0
  stamp = ours.stamp
  assert stamp['num_real'] == stamp['num_generated'] == 300
  assert stamp['used']['prdc']['generated'] == 300
  assert stamp['real_fingerprint'] != stamp['generated_fingerprint']


def test_a_set_is_at_no_distance_from_itself(
  network: None, tmp_path: pathlib.Path
):
  """Whichever form it comes in: the same pixels, by the same reader."""
  x = pictures(40, 0)
  write_folder(tmp_path / 'folder', x)
  np.savez(tmp_path / 'x.npz', x)
  settings = configs.Eval(metrics='fid', features='inception')
  scratch = tmp_path / 'scratch'
  scratch.mkdir()
  pair = {'generated': tmp_path / 'folder', 'real': tmp_path / 'x.npz'}
  found = paths.compare(pair, settings, scratch, KEY)
  assert found.figures['fd_inception'] < 1e-9
  assert not found.stamp['warnings']  # 40 samples of 12 features are enough.


def test_only_so_many_are_taken(network: None, tmp_path: pathlib.Path):
  np.savez(tmp_path / 'x.npz', pictures(30, 0))
  settings = configs.Eval(metrics='fid', features='inception')
  pair = dict.fromkeys(('generated', 'real'), tmp_path / 'x.npz')
  for num in (10, 31):
    scratch = tmp_path / f'scratch{num}'
    scratch.mkdir()
    if num == 31:
      with pytest.raises(ValueError, match=r'^--num=31: there are 30 images$'):
        paths.compare(pair, settings, scratch, KEY, num=num)
      continue
    found = paths.compare(pair, settings, scratch, KEY, num=num)
    assert found.stamp['num_generated'] == 10
    assert found.stamp['used']['fd_inception'] == {'real': 30, 'generated': 10}
    assert 'fd_inception: 10 samples cannot' in found.stamp['warnings'][0]


def test_any_first_ones_are_of_all_classes(tmp_path: pathlib.Path):
  """Files come class by class, and what is compared does not."""
  write_folder(tmp_path / 'x', pictures(40, 0), classes=4)
  image_set = sets.open_path(tmp_path / 'x', 0, 0, tmp_path)
  _, labels = image_set.fetch(range(10))
  assert set(labels.tolist()) == {0}
  _, labels = next(sets.in_any_order(image_set).blocks(20))
  assert set(labels.tolist()) == {0, 1, 2, 3}


def test_figures_of_pixels_against_all_pairs(tmp_path: pathlib.Path):
  """Without any network: every distance, in float64."""
  x = pictures(1200, 0)[:, ::2, ::2, :1]
  held_out, real = x[:1040], x[1040:]
  generated = pictures(90, 1, dark=100)[:, ::2, ::2, :1]
  generated[:20] = real[:20]  # Copies.
  found = {
    name: tmp_path / f'{name}.npz' for name in ('held_out', 'real', 'generated')
  }
  for path, images in zip(
    found.values(), (held_out, real, generated), strict=True
  ):
    np.savez(path, images)
  settings = configs.Eval(metrics='parzen,memorisation')
  scratch = tmp_path / 'scratch'
  scratch.mkdir()
  ours = paths.compare(found, settings, scratch, KEY).figures
  h, r, g = (x.reshape(len(x), -1) / 255 for x in (held_out, real, generated))
  nearest = [np.median(spatial.distance.cdist(q, r).min(1)) for q in (g, h)]
  assert ours['memorisation'] == pytest.approx(nearest[0] / nearest[1], 1e-5)

  def log_density(x: np.ndarray, centres: np.ndarray, s: float) -> np.ndarray:
    d = spatial.distance.cdist(x, centres, 'sqeuclidean')
    sums = special.logsumexp(-d / (2 * s**2), axis=1) - np.log(len(centres))
    return sums - x.shape[1] * np.log(s * np.sqrt(2 * np.pi))

  sigma = ours['parzen_sigma']
  h = h[np.random.default_rng(0).permutation(1040)]  # As files are read.
  best = max(
    np.logspace(-1, 0, 10), key=lambda s: log_density(h[:1000], g, s).mean()
  )
  assert sigma == pytest.approx(best)
  expected = log_density(h[1000:], g, sigma)
  assert ours['parzen'] == pytest.approx(expected.mean(), rel=1e-4)
  error = expected.std() / np.sqrt(40)
  assert ours['parzen_stderr'] == pytest.approx(error, rel=1e-3)


MISTAKES = [
  ('float', np.float32(pictures(9, 0)), r'seem left in \[0, 255\]'),
  ('unit', np.float32(pictures(9, 0) / 255), r'seem scaled to \[0, 1\]'),
  ('nan', np.full((9, 8, 8, 3), np.nan), r'some pixels are not finite$'),
  ('flat', pictures(9, 0).reshape(9, -1), r'got uint8 of shape \[9, 192\]$'),
  ('channels first', pictures(9, 0).transpose(0, 3, 1, 2), r'with C 1 or 3'),
  ('int', pictures(9, 0).astype(np.int64), r'got int64 of shape'),
  ('none', pictures(0, 0), r'got uint8 of shape \[0, 8, 8, 3\]$'),
  ('objects', np.array([None, 'x'], object), r'not a readable npz file'),
]


@pytest.mark.parametrize(
  ('x', 'message'),
  [case[1:] for case in MISTAKES],
  ids=[c[0] for c in MISTAKES],
)
def test_arrays_that_are_no_images(
  x: np.ndarray, message: str, tmp_path: pathlib.Path
):
  np.savez(tmp_path / 'x.npz', x)
  with pytest.raises(ValueError, match=message) as error:
    sets.open_path(tmp_path / 'x.npz', 0, 0, tmp_path)
  assert str(error.value).startswith(str(tmp_path / 'x.npz'))
  assert '\n' not in str(error.value)


def test_files_that_are_no_sets(tmp_path: pathlib.Path):
  (tmp_path / 'x.npz').write_bytes(b'no zip file')
  with pytest.raises(ValueError, match=r'x.npz: not a readable zip or npz'):
    sets.open_path(tmp_path / 'x.npz', 0, 0, tmp_path)
  with pytest.raises(ValueError, match=r'y: there is no such folder or file$'):
    sets.open_path(tmp_path / 'y', 0, 0, tmp_path)
  np.savez(tmp_path / 'z.npz', images=pictures(4, 0), labels=np.arange(3))
  with pytest.raises(ValueError, match=r'labels must be integers of shape \[4'):
    sets.open_path(tmp_path / 'z.npz', 0, 0, tmp_path)


def command(*flags: str, cache: pathlib.Path) -> Any:
  return subprocess.run(
    [sys.executable, '-m', 'experiments.evaluate', *flags],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=False,
    env=os.environ | {'XDG_CACHE_HOME': str(cache)},
  )


def test_the_command(tmp_path: pathlib.Path):
  """A classifier of the real images' own classes looks at both sets."""
  x = pictures(60, 0)
  x[::2] //= 4  # Even ones are dark.
  write_folder(tmp_path / 'real', x, classes=2)
  np.savez(tmp_path / 'x.npz', images=x[:50])
  flags = [
    f'--generated={tmp_path / "x.npz"}', f'--real={tmp_path / "real"}',
    '--features=classifier',
  ]  # fmt: skip
  done = command(
    *flags, '--metrics=fd_classifier,classes,intra_fd', '--seed=3',
    f'--json={tmp_path / "out.jsonl"}', cache=tmp_path,
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  assert 'warning: fd_classifier: 50 samples cannot give' in done.stdout
  line = json.loads((tmp_path / 'out.jsonl').read_text())
  assert line['figures'].keys() == {
    'fd_classifier', 'modes', 'reverse_kl', 'intra_fd_classifier',
  }  # fmt: skip
  assert line['figures']['modes'] == 2
  stamp = line['stamp']
  assert stamp['num_generated'] == 50
  assert stamp['num_real'] == 60
  assert stamp['seed'] == 3
  assert stamp['features_accuracy'] == 1
  assert stamp['used']['intra_fd']['classes'] == 'as the network names them'
  for more, message in (
    (['--metrics=fid'], 'error: eval.metrics: fid is the distance in '),
    (
      ['--kid_subsets=5'],
      'error: --kid_subsets: --metrics=fd_classifier does ',
    ),
    (['--data_dir=x'], 'error: --data_dir: is of --features_data'),
    (['--weights=x'], 'error: eval.weights=x: the classifier is trained here'),
  ):
    done = command(*flags, *more, cache=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(message)
    assert done.stderr.count('\n') == 1


@pytest.mark.parametrize('turn', [0, 1])
def test_labels_of_a_file_are_the_classes_that_were_asked_for(
  turn: int, tmp_path: pathlib.Path
):
  """Of real images as the samples; with the classes exchanged none is right."""
  x = pictures(60, 0)
  x[::2] //= 4
  write_folder(tmp_path / 'real', x, classes=2)
  labels = (np.arange(60) + turn) % 2
  np.savez(tmp_path / 'x.npz', images=x, labels=labels)
  settings = configs.Eval(metrics='class_accuracy,intra_fd')
  scratch = tmp_path / 'scratch'
  scratch.mkdir()
  found = paths.compare(
    {'generated': tmp_path / 'x.npz', 'real': tmp_path / 'real'},
    settings, scratch, KEY,
  )  # fmt: skip
  assert found.figures['class_accuracy_classifier'] == 1 - turn
  assert found.stamp['used']['intra_fd']['classes'] == 'asked for'
  assert (found.figures['intra_fd_classifier'] < 1e-6) == (not turn)


def test_classes_that_the_real_images_lack(tmp_path: pathlib.Path):
  x = pictures(6, 0)
  write_folder(tmp_path / 'real', x, classes=2)
  np.savez(tmp_path / 'x.npz', images=x, labels=np.arange(6) % 3)
  sides = [
    sets.in_any_order(sets.open_path(tmp_path / name, 0, 0, tmp_path))
    for name in ('x.npz', 'real')
  ]
  origins = {'generated': '--generated=x', 'real': '--real=y'}
  with pytest.raises(ValueError, match=r"its class '2' is none .* class0, cl"):
    paths._numbers(*sides, origins)
  # Of no matter where the network names them.
  (tmp_path / 'scratch').mkdir()
  pair = {'generated': tmp_path / 'x.npz', 'real': tmp_path / 'real'}
  settings = configs.Eval(metrics='classes')
  found = paths.compare(pair, settings, tmp_path / 'scratch', KEY).figures
  assert found['modes'] <= 2


@pytest.mark.parametrize(
  ('held_out', 'size', 'message'),
  [
    ('real', 0, r'held_out=.*: has the very images of --real='),
    ('other', 16, r'--size=16: is of folders and zip files'),
  ],
)
def test_what_two_files_do_not_take(
  held_out: str, size: int, message: str, tmp_path: pathlib.Path
):
  for seed, name in enumerate(('generated', 'real', 'other')):
    np.savez(tmp_path / f'{name}.npz', pictures(9, seed))
  found = {name: tmp_path / f'{name}.npz' for name in ('generated', 'real')}
  found['held_out'] = tmp_path / f'{held_out}.npz'
  scratch = tmp_path / 'scratch'
  scratch.mkdir()
  with pytest.raises(ValueError, match=message):
    paths.compare(
      found, configs.Eval(metrics='memorisation'), scratch, KEY, size=size
    )


@pytest.mark.parametrize(
  ('flags', 'message'),
  [
    ((), '--workdir=DIR, or --generated and --real, must be given'),
    (('--generated=x',), '--real=PATH must be given'),
    (('--workdir=x', '--size=8'), '--size: needs --generated and --real'),
    (('--generated=x', '--real=y', '--ema'), '--ema: applies to a run'),
    (('--generated=x', '--real=y'), 'x: there is no such folder or file'),
  ],
)
def test_wrong_commands(
  flags: tuple[str, ...], message: str, tmp_path: pathlib.Path
):
  done = command(*flags, cache=tmp_path)
  assert done.returncode == 1
  assert done.stderr.startswith(f'error: {message}'), done.stderr
  assert done.stderr.count('\n') == 1


def test_shapes_must_agree(network: None, tmp_path: pathlib.Path):
  np.savez(tmp_path / 'a.npz', pictures(9, 0))
  np.savez(tmp_path / 'b.npz', pictures(9, 0)[..., :1])
  pair = {'generated': tmp_path / 'a.npz', 'real': tmp_path / 'b.npz'}
  settings = configs.Eval(metrics='fid', features='inception')
  scratch = tmp_path / 'scratch'
  scratch.mkdir()
  with pytest.raises(ValueError, match=r'images of 8x8x3, and real .* 8x8x1;'):
    paths.compare(pair, settings, scratch, KEY)
