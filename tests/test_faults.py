"""What can go wrong with a run, done to one, and what the program does.

The table in docs/faults.md names these tests.
"""

import fcntl
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import event_files
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.benchmarks import kill
from gan_jax import types
from gan_jax.config import fields as configs
from gan_jax.engine import health, placing, program
from gan_jax.game import draws, state as states, steps
from gan_jax.run import interrupt, replay, train, trained as runs
from gan_jax.storage import checkpoint, workdir as workdirs, writers

ROOT = pathlib.Path(__file__).parent.parent
GAUSSIAN = f'--config={ROOT}/experiments/configs/gaussian_1d.py'

# A short run.
FLAGS = (
  GAUSSIAN, '--config.steps=60', '--config.log_every=10',
  '--config.eval.every=20', '--config.checkpoint.every=20',
  '--config.eval.num_samples=512', '--config.batch_size=8',
  '--config.log.pictures=false', '--config.log.page=false',
)  # fmt: skip


def python(
  *arguments: str, prefix: tuple[str, ...] = (), code: str = ''
) -> subprocess.CompletedProcess[str]:
  command = ['-c', code] if code else ['-m', 'experiments.train']
  return subprocess.run(
    [*prefix, sys.executable, *command, *arguments],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=False,
  )


def one_line(done: subprocess.CompletedProcess[str]) -> str:
  """What a program that failed said."""
  assert done.returncode == 1, done.stderr
  last = done.stderr.strip().splitlines()[-1]
  assert last.startswith('error: '), done.stderr
  assert 'Traceback' not in done.stderr
  return last


def checksums(workdir: pathlib.Path) -> dict[str, str]:
  with checkpoint.Checkpoints(workdir) as saved:
    assert saved.latest is not None
    found: dict[str, str] = saved.manifest(saved.latest)['checksums']
    return found


def rows(workdir: pathlib.Path) -> str:
  return (workdir / 'metrics.jsonl').read_text()


def test_more_memory_than_there_is(tmp_path: pathlib.Path):
  """And its folder says that nothing is lost with it."""
  command = (*FLAGS, f'--workdir={tmp_path / "run"}')
  told = one_line(python(*command, '--config.batch_size=1000000000'))
  assert 'out of memory' in told
  assert 'smaller batch_size' in told
  told = one_line(python(*command))
  assert told.endswith('or delete this one, of which no step is written')
  (tmp_path / 'run' / 'checkpoints' / '50').mkdir()
  assert one_line(python(*command)).endswith(' goes on from this run')


def test_five_kills_at_random_moments(tmp_path: pathlib.Path):
  longer = (
    *FLAGS,
    '--config.steps=2000',
    '--config.eval.every=400',
    '--config.checkpoint.every=80',
  )
  figures = kill.kill_and_compare(longer, 5, 0, tmp_path)
  assert figures['state_identical']
  assert figures['rows_identical']
  assert figures['kills'] == 5


# Kills itself as soon as the arrays of a step stand under a temporary name.
_DIES_SAVING = """
import os, signal, sys
from orbax.checkpoint._src.path import atomicity
finalize = atomicity.AtomicRenameTemporaryPath.finalize
saves = int(sys.argv[1])
async def dying(self, *args, **kwargs):
  global saves
  saves -= 1
  if saves == 0:
    os.kill(os.getpid(), signal.SIGKILL)
  return await finalize(self, *args, **kwargs)
atomicity.AtomicRenameTemporaryPath.finalize = dying
del sys.argv[1]
from experiments import launch, train
launch.run(train.main)
"""


@pytest.fixture(scope='module')
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
  workdir = tmp_path_factory.mktemp('undisturbed') / 'run'
  assert python(*FLAGS, f'--workdir={workdir}').returncode == 0
  return workdir


@pytest.mark.parametrize('save', [1, 3, 6])
def test_killed_in_the_middle_of_a_save(
  save: int, undisturbed: pathlib.Path, tmp_path: pathlib.Path
):
  """The first save too: nothing else was on the disk, so it begins anew."""
  workdir = tmp_path / 'run'
  done = python(str(save), *FLAGS, f'--workdir={workdir}', code=_DIES_SAVING)
  assert done.returncode == -signal.SIGKILL, done.stderr
  assert list(workdir.glob('checkpoints/*tmp*'))
  assert python(*FLAGS, f'--workdir={workdir}').returncode == 0
  assert checksums(workdir) == checksums(undisturbed)
  assert rows(workdir) == rows(undisturbed)
  assert not list(workdir.glob('checkpoints/*tmp*'))


def finished(whole: pathlib.Path, workdir: pathlib.Path) -> None:
  """A run of 12 steps with checkpoints at 8 and 12, and no summary."""
  shutil.copytree(whole, workdir, dirs_exist_ok=True)
  (workdir / 'summary.json').unlink()


def cut(path: pathlib.Path) -> None:
  os.truncate(path, path.stat().st_size // 2)


def flip(path: pathlib.Path) -> None:
  data = bytearray(path.read_bytes())
  data[len(data) // 2] ^= 1
  path.write_bytes(data)


@pytest.mark.parametrize('harm', [cut, flip, pathlib.Path.unlink])
@pytest.mark.parametrize('part', ['arrays', 'manifest'])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(
  harm: Callable[[pathlib.Path], None],
  part: str,
  tiny: configs.Config,
  tiny_run: pathlib.Path,
  tmp_path: pathlib.Path,
  capsys: pytest.CaptureFixture[str],
):
  workdir = tmp_path / 'run'
  finished(tiny_run, workdir)
  expected, expected_rows = checksums(workdir), rows(workdir)
  newest = workdir / 'checkpoints' / '12'
  # The arrays lie in `state/d`. What lies below `state/ocdbt.process_0` has
  # been merged into them and is not read again.
  where = {'arrays': 'state/d/*', 'manifest': 'manifest/metadata'}
  for path in newest.glob(where[part]):
    harm(path)
  with pytest.raises(ValueError, match='damaged'):
    runs.load(workdir)
  train.train(tiny, workdir)
  said = [
    x for x in capsys.readouterr().err.splitlines() if 'is damaged (' in x
  ]
  assert len(said) == 1
  assert 'the checkpoint of step 12 is damaged' in said[0]
  assert checksums(workdir) == expected
  assert rows(workdir) == expected_rows
  assert (workdir / 'damaged' / '12.0').is_dir()


def test_a_machine_short_of_memory_damages_nothing(
  tiny: configs.Config,
  tiny_run: pathlib.Path,
  tmp_path: pathlib.Path,
  monkeypatch: pytest.MonkeyPatch,
):
  finished(tiny_run, tmp_path)

  def short(*args: object, **kwargs: object) -> None:
    raise RuntimeError('RESOURCE_EXHAUSTED: out of memory')

  with monkeypatch.context() as patch:
    patch.setattr(checkpoint.ocp.CheckpointManager, 'restore', short)
    with pytest.raises(RuntimeError, match='RESOURCE_EXHAUSTED'):
      train.train(tiny, tmp_path)
  assert not (tmp_path / 'damaged').exists()
  assert train.train(tiny, tmp_path)['step'] == 12


def test_nothing_is_moved_where_nothing_is_sound(
  tiny: configs.Config, tiny_run: pathlib.Path, tmp_path: pathlib.Path
):
  finished(tiny_run, tmp_path)
  with checkpoint.Checkpoints(tmp_path) as saved:
    steps = saved.steps
  for step in steps:
    (path,) = (tmp_path / 'checkpoints' / f'{step}' / 'manifest').glob('meta*')
    flip(path)
  with pytest.raises(ValueError, match='without a sound checkpoint'):
    train.train(tiny, tmp_path)
  with checkpoint.Checkpoints(tmp_path) as saved:
    assert saved.steps == steps


@pytest.fixture
def ask_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
  """Asks the next run to stop while the chunk from that step is prepared."""
  stops: list[interrupt.Interrupt] = []
  enter = interrupt.Interrupt.__enter__

  def entering(self: interrupt.Interrupt) -> interrupt.Interrupt:
    stops.append(self)
    return enter(self)

  monkeypatch.setattr(interrupt.Interrupt, '__enter__', entering)
  make = placing.make_batches

  def ask(at: int) -> None:
    def make_batches(
      game: program.Game, length: int
    ) -> Callable[[int], object]:
      batches = make(game, length)

      def asking(step: int) -> object:
        stops[-1].asked = step == at
        return batches(step)

      return asking

    monkeypatch.setattr(placing, 'make_batches', make_batches)

  return ask


def test_asked_to_stop_between_chunks(
  tiny: configs.Config, tmp_path: pathlib.Path, ask_at: Callable[[int], None]
):
  """After the chunk's own checks: the next one runs and is saved."""
  tiny.steps, tiny.checkpoint.every = 24, 12
  ask_at(4)
  with pytest.raises(interrupt.Stopped, match='stopped at step 8'):
    train.train(tiny, tmp_path)
  with checkpoint.Checkpoints(tmp_path) as saved:
    assert saved.latest == 8


def test_a_stop_in_the_last_chunk_is_known(
  tiny: configs.Config, tmp_path: pathlib.Path, ask_at: Callable[[int], None]
):
  """The run ends, and a table does not begin its next row."""
  ask_at(tiny.steps - 4)
  assert train.train(tiny, tmp_path / 'a')['step'] == tiny.steps
  assert interrupt.was_asked()
  train.train(tiny, tmp_path / 'a')
  assert not interrupt.was_asked()


def test_every_bit_of_the_arrays_counts(
  tiny_run: pathlib.Path, tmp_path: pathlib.Path
):
  """A change in the arrays that the file format does not notice."""
  finished(tiny_run, tmp_path)
  with checkpoint.Checkpoints(tmp_path) as saved:
    known = saved.manifest(12)['checksums']
  state = runs.load(tmp_path).state
  assert checkpoint.checksums(state) == known
  bits = np.array(state.gen.params['Dense_0']['bias']).view(np.uint32)
  bits[3] ^= 1
  changed = jax.tree.map(np.array, state)
  changed.gen.params['Dense_0']['bias'] = bits.view(np.float32)
  other = checkpoint.checksums(changed)
  assert [n for n in known if known[n] != other[n]] == [
    'gen/params/Dense_0/bias'
  ]


def test_never_a_silent_beginning_over_a_run(
  tiny: configs.Config, tiny_run: pathlib.Path, tmp_path: pathlib.Path
):
  finished(tiny_run, tmp_path)
  before = rows(tmp_path)
  shutil.rmtree(tmp_path / 'checkpoints')
  with pytest.raises(ValueError, match='without a sound checkpoint'):
    train.train(tiny, tmp_path)
  assert rows(tmp_path) == before
  (tmp_path / 'config.json').unlink()
  with pytest.raises(ValueError, match=r'but no config\.json'):
    train.train(tiny, tmp_path)


def test_lost_rows_are_refused(
  tiny: configs.Config, tiny_run: pathlib.Path, tmp_path: pathlib.Path
):
  finished(tiny_run, tmp_path)
  lines = rows(tmp_path).splitlines(keepends=True)
  (tmp_path / 'metrics.jsonl').write_text(''.join(lines[:1] + lines[2:]))
  with pytest.raises(ValueError, match=r'3 rows up to step 12 .* counted 4'):
    train.train(tiny, tmp_path)
  for broken in (
    'no json', '[4]', '{"step": 4, "x": "y"}', '{"step": 4, "x": {"mean": 1}}'
  ):  # fmt: skip
    (tmp_path / 'metrics.jsonl').write_text(f'{broken}\n' + ''.join(lines))
    with pytest.raises(ValueError, match='line 1 is damaged'):
      train.train(tiny, tmp_path)


def test_two_processes_on_one_folder(
  tiny: configs.Config, tiny_run: pathlib.Path, tmp_path: pathlib.Path
):
  finished(tiny_run, tmp_path)
  with (tmp_path / 'lock').open('a+') as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    with pytest.raises(ValueError, match=r'another process .* at work'):
      train.train(tiny, tmp_path)
  train.train(tiny, tmp_path)


def write_images(folder: pathlib.Path, value: int) -> None:
  import PIL.Image

  folder.mkdir(exist_ok=True)
  for i in range(8):
    image = np.full((8, 8), 10 * i + value, np.uint8)
    PIL.Image.fromarray(image).save(folder / f'{i}.png')


def test_changed_data_are_refused(
  tiny: configs.Config, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
  tiny.data.name, tiny.data.dir = 'folder', str(tmp_path / 'images')
  tiny.steps = 4
  write_images(tmp_path / 'images', 0)
  train.train(tiny, tmp_path / 'run')
  tiny.steps = 8
  write_images(tmp_path / 'images', 1)
  before = rows(tmp_path / 'run')
  with pytest.raises(ValueError, match='data have changed'):
    train.train(tiny, tmp_path / 'run')
  assert rows(tmp_path / 'run') == before
  write_images(tmp_path / 'images', 0)
  assert train.train(tiny, tmp_path / 'run')['step'] == 8


def test_a_clock_set_back(
  tiny: configs.Config, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
  train.train(tiny, tmp_path / 'whole')
  tiny.steps = 8
  train.train(tiny, tmp_path / 'parts')
  tiny.steps = 12
  now = time.time
  monkeypatch.setattr(time, 'time', lambda: now() - 1e8)
  train.train(tiny, tmp_path / 'parts')
  assert checksums(tmp_path / 'whole') == checksums(tmp_path / 'parts')
  assert rows(tmp_path / 'whole') == rows(tmp_path / 'parts')
  assert scalars(tmp_path / 'whole') == scalars(tmp_path / 'parts')


def scalars(workdir: pathlib.Path) -> list[tuple[int, str, float]]:
  """TensorBoard's, in the order in which it reads them; speeds left out."""
  return [
    (event.step, value.tag, value.simple_value)
    for event in event_files.events(workdir / 'tensorboard')
    for value in event.summary.value
    if value.tag != 'speed/steps' and not value.HasField('image')
  ]


def pictures(workdir: pathlib.Path) -> list[tuple[int, bytes]]:
  """TensorBoard's, in the order in which it reads them."""
  return [
    (event.step, value.image.encoded_image_string)
    for event in event_files.events(workdir / 'tensorboard')
    for value in event.summary.value
    if value.HasField('image')
  ]


@pytest.mark.parametrize('data', ['mixture', 'digits'])
def test_tensorboard_has_every_step_once(
  tiny: configs.Config, tmp_path: pathlib.Path, data: str
):
  """Also after a kill between a row and its checkpoint, with a torn tail."""
  tiny.data.name = data
  train.train(tiny, tmp_path)
  (tmp_path / 'summary.json').unlink()
  whole, drawn = scalars(tmp_path), pictures(tmp_path)
  assert [x[0] for x in whole] == sorted(x[0] for x in whole)
  assert {x[0] for x in whole} == {0, 4, 8, 12}
  assert [x[0] for x in drawn] == [0, 4, 8, 12] * (data == 'digits')
  shutil.rmtree(tmp_path / 'checkpoints' / '12')
  (path,) = (tmp_path / 'tensorboard').iterdir()
  path.write_bytes(path.read_bytes()[:-7])
  # What a user keeps there is no sample.
  (tmp_path / 'samples').mkdir(exist_ok=True)
  (tmp_path / 'samples' / 'step_best.png').write_bytes(b'')
  train.train(tiny, tmp_path)
  assert scalars(tmp_path) == whole
  assert pictures(tmp_path) == drawn


def mounts() -> bool:
  """Whether a process may have a small disk of its own."""
  done = subprocess.run(
    ['unshare', '-rm', 'mount', '-t', 'tmpfs', 'none', '/mnt'],
    capture_output=True,
    check=False,
  )
  return done.returncode == 0


def on_a_small_disk(
  workdir: pathlib.Path, script: str, *flags: str
) -> subprocess.CompletedProcess[str]:
  """Trains within `script`, a shell's, where "$@" is the training command."""
  command = [sys.executable, '-m', 'experiments.train', *FLAGS, *flags]
  return subprocess.run(
    ['unshare', '-rm', 'sh', '-c', script, str(workdir), *command],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=False,
  )


@pytest.mark.skipif(not mounts(), reason='no mounts allowed here')
def test_a_full_disk(tmp_path: pathlib.Path):
  """It fills up while training; what was saved is whole, and goes on."""
  workdir, kept = tmp_path / 'disk', tmp_path / 'kept'
  workdir.mkdir()
  kept.mkdir()
  done = on_a_small_disk(
    workdir,
    'mount -t tmpfs -o size=400k none "$0"; "$@"; code=$?;'
    f'cp -a "$0"/. {kept}; exit $code',
    f'--workdir={workdir}', '--config.steps=400',
    '--config.checkpoint.keep=1000',
  )  # fmt: skip
  line = one_line(done)
  assert 'cannot be written' in line
  assert 'is whole' in line
  flags = (*FLAGS, '--config.steps=400', '--config.checkpoint.keep=1000')
  with checkpoint.Checkpoints(kept) as saved:
    assert saved.latest
    taken_up = f'going on from the checkpoint of step {saved.latest:,}'
  done = python(*flags, f'--workdir={kept}')
  assert done.returncode == 0, done.stderr
  assert taken_up in done.stderr


# Without root's right to write regardless (capability 1, CAP_DAC_OVERRIDE).
_AS_ANYONE = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(24, 1, 0, 0, 0)
command = [sys.executable, '-m', 'experiments.train', *sys.argv[1:]]
os.execv(sys.executable, command)
"""


def test_made_read_only_while_training(tmp_path: pathlib.Path):
  workdir = tmp_path / 'run'
  flags = (*FLAGS, f'--workdir={workdir}', '--config.steps=1000000')
  process = subprocess.Popen(
    [sys.executable, '-c', _AS_ANYONE, *flags],
    cwd=ROOT,
    stdout=subprocess.DEVNULL,
    stderr=subprocess.PIPE,
    text=True,
  )
  while not (workdir / 'checkpoints' / '20').exists():
    assert process.poll() is None
    time.sleep(0.05)
  folders = [path for path in workdir.rglob('*') if path.is_dir()]
  for folder in (workdir, *folders):
    folder.chmod(0o555)
  _, err = process.communicate(timeout=60)
  for folder in (workdir, *folders):
    folder.chmod(0o755)
  assert process.returncode == 1, err
  last = err.strip().splitlines()[-1]
  assert last.startswith('error: ')
  assert 'cannot be written (Permission denied)' in last
  assert 'Traceback' not in err
  assert runs.load(workdir).state.step >= 20


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_asked_to_stop(number: signal.Signals, tmp_path: pathlib.Path):
  """Between two rows: exit 0, one line, and rows that a longer run has."""
  flags = (*FLAGS, '--config.steps=30000', f'--workdir={tmp_path}/run')
  process = subprocess.Popen(
    [sys.executable, '-m', 'experiments.train', *flags],
    cwd=ROOT,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )
  metrics = tmp_path / 'run' / 'metrics.jsonl'
  while not (metrics.exists() and metrics.read_text().count('\n') > 2):
    assert process.poll() is None
    time.sleep(0.05)
  process.send_signal(number)
  out, err = process.communicate(timeout=30)
  assert process.returncode == 0, err
  assert 'a second signal stops at once' in err
  assert 'the same command takes' in out
  assert len(out.strip().splitlines()) == 1
  stopped = int(out.split()[3].strip(';').replace(',', ''))
  with checkpoint.Checkpoints(tmp_path / 'run') as saved:
    assert saved.latest == stopped
  until = f'--config.steps={stopped + 30}'
  python(*FLAGS, until, f'--workdir={tmp_path}/whole')
  assert rows(tmp_path / 'whole').startswith(rows(tmp_path / 'run'))


def test_a_second_signal_stops_at_once(tmp_path: pathlib.Path):
  many = 2_000_000
  process = subprocess.Popen(
    [
      sys.executable, '-m', 'experiments.train', *FLAGS,
      f'--config.steps={many}', f'--config.log_every={many}',
      f'--config.eval.every={many}', f'--config.checkpoint.every={many}',
      f'--workdir={tmp_path}/run',
    ],
    cwd=ROOT,
    stderr=subprocess.PIPE,
    text=True,
  )  # fmt: skip
  metrics = tmp_path / 'run' / 'metrics.jsonl'
  while not (metrics.exists() and metrics.read_text()):
    time.sleep(0.05)
  time.sleep(0.5)  # That row is written beside the one chunk there is.
  process.terminate()
  time.sleep(0.5)
  assert process.poll() is None
  began = time.monotonic()
  process.terminate()
  process.communicate()
  assert time.monotonic() - began < 2
  assert process.returncode == 128 + signal.SIGTERM
  assert runs.load(tmp_path / 'run').state.step == 0


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_no_half_of_what_is_written(
  number: signal.Signals, tmp_path: pathlib.Path
):
  """In programs that do not train."""
  script = (
    'import pathlib, time; from experiments import launch; '
    'from gan_jax.storage import whole\n'
    'def main():\n'
    f'  with whole.folder(pathlib.Path({str(tmp_path / "out")!r})) as part:\n'
    '    (part / "x").touch(); print("there", flush=True); time.sleep(60)\n'
    'launch.run(main)'
  )
  process = subprocess.Popen(
    [sys.executable, '-c', script], cwd=ROOT, text=True,
    stdout=subprocess.PIPE, stderr=subprocess.PIPE,
  )  # fmt: skip
  assert process.stdout is not None
  assert process.stdout.readline() == 'there\n'
  process.send_signal(number)
  assert process.communicate(timeout=30) == ('', '')
  assert process.returncode == 128 + number
  assert not [*tmp_path.iterdir()]


def diverging(config: configs.Config) -> configs.Config:
  """Overflows within a few steps."""
  config.optim.gen = configs.Optimiser(name='sgd', learning_rate=1e20, b1=0.0)
  config.loss = 'wasserstein'
  return config


def test_divergence_is_told(tiny: configs.Config, tmp_path: pathlib.Path):
  with pytest.raises(health.DivergedError, match='not finite in') as told:
    train.train(diverging(tiny), tmp_path)
  message, step = str(told.value), told.value.step
  assert f'step {step}:' in message
  assert 'checkpoint is of step' in message
  # Step by step on its own: the first step whose logs are not all finite.
  game = program.open_game(tiny)
  state, one = game.initial_state(), jax.jit(
    program.make_step(game.spec, game.source, game.mesh)
  )  # fmt: skip
  for number in range(1, step + 1):
    state, logs = one(state, game.hyper, (), game.keys)
    finite = all(np.isfinite(float(value)) for value in logs.values())
    assert finite == (number < step)


def test_divergence_again_is_the_same(
  tiny: configs.Config, tmp_path: pathlib.Path
):
  told = []
  for _ in range(2):
    with pytest.raises(health.DivergedError) as error:
      train.train(diverging(tiny), tmp_path)
    told.append(str(error.value))
  assert told[0] == told[1]


def test_skipped_updates_are_counted(
  tiny: configs.Config, tmp_path: pathlib.Path
):
  tiny.nonfinite = 'skip'
  summary = train.train(diverging(tiny), tmp_path)
  assert summary['gen_skipped'] + summary['disc_skipped'] > 0
  state = runs.load(tmp_path).state
  for leaf in jax.tree.leaves(state.gen.params):
    assert np.isfinite(leaf).all()
  told = sum(
    4 * (row.get('gen/skipped') or 0.0) for row in writers.read_rows(tmp_path)
  )
  assert told == pytest.approx(summary['gen_skipped'])


def test_each_skipped_update_of_a_step_is_told(tiny: configs.Config):
  """Also where the step's last one is fine again."""
  tiny.nonfinite, tiny.disc_steps = 'skip', 3
  game = program.open_game(tiny)
  real = jnp.ones((3, 8, 1)).at[:2, 0].set(jnp.nan)
  step = jax.jit(steps.make_step(game.spec))
  draw = draws.draw_step(game.spec, jax.random.key(0))
  state = game.start()
  after, logs = step(state, game.hyper, types.Batch(real), draw)
  assert int(after.memory['skipped']['disc']) == 2
  assert float(logs['disc/skipped']) == 2
  assert float(logs['gen/skipped']) == 0


def test_going_on_regardless(tiny: configs.Config, tmp_path: pathlib.Path):
  tiny.nonfinite = 'continue'
  assert train.train(diverging(tiny), tmp_path)['step'] == 12
  assert 'null' in rows(tmp_path)
  assert 'NaN' not in rows(tmp_path)


def test_debug_nans_names_the_operation(tmp_path: pathlib.Path):
  done = python(
    *FLAGS, f'--workdir={tmp_path}/run', '--debug_nans',
    '--config.loss=wasserstein', '--config.optim.gen.learning_rate=1e30',
    '--config.optim.gen.name=sgd',
  )  # fmt: skip
  line = one_line(done)
  assert 'not finite in' in line
  assert 'encountered in' in line
  assert 'at gan_jax/' in line


@pytest.mark.pictures
def test_everything_a_run_leaves_is_known(
  tiny: configs.Config, tmp_path: pathlib.Path
):
  tiny.population.seeds = 2
  train.train(tiny, tmp_path / 'two')
  tiny.population.seeds = 1
  train.train(tiny, tmp_path / 'one')
  left = {path.name for path in tmp_path.glob('*/*')}
  assert {'population.png', 'frames', 'lock'} <= left
  assert left <= set(workdirs._OURS)


@pytest.mark.parametrize('name', ['checkpoints', 'metrics.jsonl', 'frames'])
def test_links_out_of_the_folder_are_refused(
  name: str,
  tiny: configs.Config,
  tiny_run: pathlib.Path,
  tmp_path: pathlib.Path,
):
  workdir, elsewhere = tmp_path / 'run', tmp_path / 'elsewhere'
  finished(tiny_run, workdir)
  (workdir / name).rename(elsewhere)
  (workdir / name).symlink_to(elsewhere)
  with pytest.raises(ValueError, match=f'{name} is a link'):
    train.train(tiny, workdir)


def test_a_run_of_another_version_is_refused(
  tiny: configs.Config, tiny_run: pathlib.Path, tmp_path: pathlib.Path
):
  """By name, and left as it is; before format 2 there was no number."""
  finished(tiny_run, tmp_path)
  path = tmp_path / 'config.json'
  stored = json.loads(path.read_text())
  stored['sessions'][-1]['commit'] = 'abc'
  for number, named in ((None, 'format 1'), (9, 'format 9')):
    stored['format'] = number
    if number is None:
      del stored['format']
    path.write_text(json.dumps(stored))
    for use in (runs.load, lambda folder: train.train(tiny, folder)):
      with pytest.raises(ValueError, match=f'in {named}, by .* commit abc;'):
        use(tmp_path)
    assert json.loads(path.read_text()) == stored


def test_a_checkpoint_of_another_format_is_refused(
  tiny: configs.Config,
  tmp_path: pathlib.Path,
  monkeypatch: pytest.MonkeyPatch,
):
  train.train(tiny, tmp_path)
  monkeypatch.setattr(checkpoint, 'FORMAT', 9)
  with checkpoint.Checkpoints(tmp_path) as saved:
    game = program.open_game(tiny)
    with pytest.raises(ValueError, match='is of format 2, written by'):
      saved.restore(game.abstract_state(), saved.steps[-1])


def test_which_checkpoints_stay(tiny: configs.Config, tmp_path: pathlib.Path):
  tiny.steps = 40
  tiny.checkpoint = configs.Checkpoint(
    every=4, keep=2, keep_every=16, best='ks'
  )
  train.train(tiny, tmp_path)
  by_step = {
    row['step']: row['eval/ks']
    for row in writers.read_rows(tmp_path)
    if row['step']
  }
  best = min(by_step, key=lambda step: by_step[step])
  with checkpoint.Checkpoints(tmp_path) as saved:
    assert set(saved.steps) == {0, 16, 32, 36, 40, best}
    assert saved.best('ks', 'min') == best
  assert int(runs.load(tmp_path, 'best').state.step) == best
  assert int(runs.load(tmp_path, '16').state.step) == 16
  with pytest.raises(ValueError, match='--checkpoint=17: there are latest'):
    runs.load(tmp_path, '17')


@pytest.mark.parametrize('mode', ['min', 'max'])
def test_the_best_of_an_earlier_start_stays(mode: str, tmp_path: pathlib.Path):
  settings = configs.Checkpoint(keep=2, best='ks', best_mode=mode)
  values = {1: 2.0, 2: 5.0, 3: 1.0, 4: 3.0, 5: 4.0, 6: 3.0}
  for starts in ((1, 2, 3), (4, 5, 6)):
    with checkpoint.Checkpoints(tmp_path, settings) as saved:
      for step in starts:
        state = states.GanState(
          step=np.int32(step), gen=(), disc=(), gen_ema=(), memory={}
        )
        saved.save(state, {}, {'eval/ks': values[step]})
  best = {'min': 3, 'max': 2}[mode]
  with checkpoint.Checkpoints(tmp_path) as saved:
    assert saved.steps == [best, 5, 6]
    assert saved.best('ks', mode) == best


def test_an_unknown_best(tiny: configs.Config, tmp_path: pathlib.Path):
  for name, message in (
    ('fid', r"'fid': this game has no such figure; it has d_fake, .*ks, "),
    ('eval/ks', r"'eval/ks': is written without 'eval/', as 'ks'"),
  ):
    tiny.checkpoint.best = name
    with pytest.raises(ValueError, match=message):
      train.train(tiny, tmp_path / 'run')
  assert not (tmp_path / 'run').exists()


def test_parts_of_a_run_made_with_different_things(
  tiny_run: pathlib.Path, tmp_path: pathlib.Path
):
  finished(tiny_run, tmp_path)
  assert not replay.changed_since(tmp_path)
  path = tmp_path / 'config.json'
  stored = json.loads(path.read_text())
  (last,) = stored['sessions']
  first = last | {'stock': True, 'processes': 2}
  stored['sessions'] = [first, first | {'processes': 3}, last]
  path.write_text(json.dumps(stored))
  assert replay.changed_since(tmp_path) == {
    'stock': ([True, False], False),
    'processes': ([2, 3, 1], 1),
  }
  info = workdirs.load(tmp_path)[1]
  with workdirs.claim(tmp_path, workdirs.load(tmp_path)[0], info) as before:
    assert before == last


def test_replay(tiny: configs.Config, tmp_path: pathlib.Path):
  workdir = tmp_path / 'run'
  train.train(tiny, workdir)

  def replay() -> subprocess.CompletedProcess[str]:
    return subprocess.run(
      [
        sys.executable, '-m', 'experiments.replay', f'--workdir={workdir}',
        '--steps=8',
      ],
      cwd=ROOT,
      capture_output=True,
      text=True,
      check=False,
    )  # fmt: skip

  done = replay()
  assert done.returncode == 0, done.stdout + done.stderr
  assert 'steps 1 to 8, row by row' in done.stdout
  assert 'steps 9 to 12, tensor by tensor' in done.stdout
  assert 'identical throughout' in done.stdout
  # A row that says something else, and another version of jax.
  path = workdir / 'metrics.jsonl'
  lines = [json.loads(line) for line in path.read_text().splitlines()]
  lines[1]['gen/loss'] += 0.25
  path.write_text(''.join(json.dumps(line) + '\n' for line in lines))
  stored = json.loads((workdir / 'config.json').read_text())
  stored['sessions'][-1]['versions']['jax'] = '0.0.1'
  (workdir / 'config.json').write_text(json.dumps(stored))
  done = replay()
  assert done.returncode == 1
  assert 'jax: 0.0.1 then' in done.stdout
  assert 'differs by up to 0.25' in done.stdout


def test_a_replay_hides_nothing():
  """A null beside a number, or a row that is not there, is a difference."""
  gap = replay._gap
  assert gap([1.0, None], np.array([1.0, np.nan])) == 0
  assert gap([1.0, None], np.array([1.5, np.nan])) == 0.5
  assert np.isnan(gap([1.0, 2.0], np.array([1.0, np.nan])))
  assert np.isnan(gap([None, 2.0], np.array([1.0, 2.0])))
  assert np.isnan(gap(replay._MISSING, np.array(1.0)))


def test_the_sessions_of_a_run(
  tiny: configs.Config,
  tiny_run: pathlib.Path,
  tmp_path: pathlib.Path,
  monkeypatch: pytest.MonkeyPatch,
):
  finished(tiny_run, tmp_path)
  train.train(tiny, tmp_path)
  assert len(workdirs.sessions(tmp_path)) == 1
  (tmp_path / 'summary.json').unlink()
  facts = {**workdirs.provenance(), 'commit': 'another'}
  monkeypatch.setattr(workdirs, 'provenance', lambda: facts)
  train.train(tiny, tmp_path)
  assert [x['commit'] for x in workdirs.sessions(tmp_path)][1:] == ['another']
