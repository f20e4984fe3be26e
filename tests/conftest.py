"""Every test: silent broadcasting is an error, and there are 4 devices."""

# XLA reads its flags when JAX is imported or soon after.
# ruff: noqa: E402

import gc
import os
import pathlib
import subprocess
import sys

_FLAGS = (
  '--xla_force_host_platform_device_count=4',
  # Compiling is most of the time here, and more than half of that is to make
  # programs fast. What tests start with XLA_FLAGS='' is compiled as for users.
  '--xla_backend_optimization_level=0',
  # Programs in one piece take less of the processor, if no less time alone.
  '--xla_cpu_parallel_codegen_split_count=1',
  # Of jax 0.10, which has two ways to compile loops; 0.12 has one.
  '--xla_cpu_use_fusion_emitters=false',
)


def _known(flags: tuple[str, ...]) -> list[str]:
  """Those that this XLA knows: one that it does not ends the process."""
  started = [
    subprocess.Popen(
      [sys.executable, '-c', 'import jax; jax.devices()'],
      env=os.environ | {'XLA_FLAGS': flag, 'JAX_PLATFORMS': 'cpu'},
      stderr=subprocess.DEVNULL,
    )
    for flag in flags
  ]
  codes = [process.wait() for process in started]
  return [flag for flag, code in zip(flags, codes, strict=True) if not code]


_DROPPED: list[str] = []
if 'XLA_FLAGS' not in os.environ:
  known = _known(_FLAGS)
  _DROPPED += [flag for flag in _FLAGS if flag not in known]
  os.environ['XLA_FLAGS'] = ' '.join(known)
os.environ.setdefault('JAX_PLATFORMS', 'cpu')
# Compiled programs are kept between runs of the suite.
os.environ.setdefault(
  'JAX_COMPILATION_CACHE_DIR',
  str(pathlib.Path(__file__).parent.parent / '.pytest_cache' / 'jax'),
)
os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', '0')
# Nothing is left in the user's own: classifiers, unpacked images.
os.environ['XDG_CACHE_HOME'] = str(
  pathlib.Path(__file__).parent.parent / '.pytest_cache' / 'xdg'
)

import jax
import pytest

from gan_jax.config import fields as configs
from gan_jax.networks import mlp
from gan_jax.report import charts, frames, pages, single as reports
from gan_jax.run import train

jax.config.update('jax_numpy_rank_promotion', 'raise')
# As in every program here: tracing makes many objects, and few of them circles.
gc.freeze()
gc.set_threshold(100_000)

_RUNS: list[pathlib.Path] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
  """Says which flags were dropped."""
  for flag in _DROPPED:
    terminalreporter.write_line(f'this XLA does not know {flag}')


@pytest.fixture(autouse=True)
def without_pictures(
  request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
  """Drawing takes longer than a short run: only where a test asks for it."""
  if not request.node.get_closest_marker('pictures'):
    monkeypatch.setattr(reports, 'save_health', lambda *_: None)
    monkeypatch.setattr(frames.Frames, 'save', lambda *_: None)
    monkeypatch.setattr(charts, 'save_population', lambda *_: None)
    monkeypatch.setattr(pages, 'write_run', lambda *_: None)


def make_tiny() -> configs.Config:
  """A one-dimensional game of a few small steps."""
  config = configs.Config(steps=12, batch_size=8, log_every=4)
  config.gen.net = mlp.GenSettings(width=8, depth=1)
  config.disc.net = mlp.DiscSettings(width=8, depth=1)
  config.eval.every = 4
  config.eval.num_samples = 512
  config.checkpoint.every = 4
  config.ema.half_life = 32.0
  return config


tiny = pytest.fixture(make_tiny, name='tiny')


@pytest.fixture
def tiny_run(
  without_pictures: None, tmp_path_factory: pytest.TempPathFactory
) -> pathlib.Path:
  """A whole run of `tiny`, trained once; who changes it takes a copy."""
  if not _RUNS:
    workdir = tmp_path_factory.mktemp('tiny') / 'run'
    train.train(make_tiny(), workdir)
    _RUNS.append(workdir)
  return _RUNS[0]
