"""Programs compiled for chips that are not there, and what is told of them."""

import importlib.machinery
import importlib.util
import json
import os
import pathlib
import re
import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from experiments import fitting, listed
from gan_jax import types
from gan_jax.config import fields as configs, words
from gan_jax.data import absent
from gan_jax.engine import (
  ahead,
  build,
  chips,
  hlo,
  program,
  scaling,
  sharding,
)
from gan_jax.evaluation import classifier
from gan_jax.report import forecast
from gan_jax.storage import whole

ROOT = pathlib.Path(__file__).parent.parent
NOTHING = absent.ImageSpec()

needs_libtpu = pytest.mark.skipif(
  importlib.util.find_spec('libtpu') is None,
  reason='libtpu is not installed (the extra tpu-aot)',
)

# One all-reduce of [4] and [] float32 in each round of a loop of 10, one of 2
# bfloat16 in a nested loop that does not tell its rounds, and outside of the
# loops a gather to [8, 4] bytes and what is left to each of 4 devices of [2].
TEXT = """HloModule jit_run, is_scheduled=true

%add (a: f32[], b: f32[]) -> f32[] {
  ROOT %sum = f32[] add(%a, %b)
}

%nested_body (n: (u32[])) -> (u32[]) {
  %two = bf16[2]{0:T(128)S(1)} all-reduce(%n), to_apply=%add
}

%nested_condition (m: (u32[])) -> pred[] {
  ROOT %going = pred[] compare(%m, %m), direction=NE
}

%body (s: (s32[], f32[4])) -> (s32[], f32[4]) {
  %both = (f32[4]{0:T(128)}, f32[]) all-reduce-start(%x, %y), to_apply=%add
  %done = (f32[4]{0:T(128)}, f32[]) all-reduce-done(%both)
  %inner = (u32[]) while(%z), condition=%nested_condition, body=%nested_body
}

%condition (s: (s32[], f32[4])) -> pred[] {
  %constant.1 = s32[]{:T(128)} constant(10)
  ROOT %lt = pred[] compare(%i, %constant.1), direction=LT
}

ENTRY %main (p: f32[4]) -> f32[4] {
  %w = (s32[], f32[4]) while(%t), condition=%condition, body=%body
  %g = u8[8,4]{1,0} all-gather(%u), replica_groups={{0,1,2,3}}
  %h = (f32[2]{0}, f32[8]{0}, u32[]) all-gather-start(%v), dimensions={0}
  %s = f32[2]{0} reduce-scatter(%v), replica_groups={{0,1,2,3}}, to_apply=%add
  %c = f32[2,2] convolution(%a, %b), operand_precision={highest,highest}
  %d = f32[2,2] dot(%a, %b)
}
"""


def test_collectives_are_counted_through_loops():
  sent = hlo.collectives(TEXT, length=10)
  found = {each.kind: each for each in hlo.summed(sent)}
  assert found.keys() == {'all-reduce', 'all-gather', 'reduce-scatter'}
  assert found['all-reduce'].num == pytest.approx(2)
  assert found['all-reduce'].num_bytes == pytest.approx(4 * 4 + 4 + 2 * 2)
  # Of one that is started, what it makes and not what it is given.
  assert found['all-gather'].num_bytes == pytest.approx((8 * 4 + 8 * 4) / 10)
  assert found['reduce-scatter'].num_bytes == pytest.approx(4 * 2 * 4 / 10)
  assert hlo.precisions(TEXT) == {'highest': 1, 'default': 1}


def test_collectives_of_a_compiled_sum():
  mesh = sharding.make_mesh()
  whole, rows = (
    NamedSharding(mesh, spec)
    for spec in (PartitionSpec(), PartitionSpec(sharding.AXIS))
  )

  def run(total: jax.Array, x: jax.Array) -> jax.Array:
    def add(total: jax.Array, _: None) -> tuple[jax.Array, None]:
      return jnp.sin(total) + (x * total[None]).sum(0), None

    return jax.lax.scan(add, total, None, length=6)[0]

  compiled = (
    jax.jit(run, in_shardings=(whole, rows), out_shardings=whole)
    .lower(jnp.zeros(5), jnp.zeros((8, 5)))
    .compile()
  )
  (found,) = hlo.summed(hlo.collectives(compiled.as_text() or '', length=6))
  assert found == hlo.Collective('all-reduce', 1.0, 5 * 4)


def test_a_roofline_by_hand():
  pod = chips.parse('v5e:2x2')
  sent = [hlo.Collective('all-reduce', 3, 2e6)]
  line = chips.roofline(pod, 197e9, 819e3, sent, 6)
  assert line.arithmetic == pytest.approx(6e-3)
  assert line.memory == pytest.approx(1e-6)
  # Twice 3/4 of 2 MB at 200 GB/s are 15 us; three times four hops are 12.
  assert line.links == pytest.approx(15e-6)
  assert line.bound == 'arithmetic'
  told = line.to_json(samples=12)
  assert told['samples_per_second'] == pytest.approx(2000)
  assert told['share_of_peak'] == 1
  few = [hlo.Collective('all-reduce', 3, 8)]
  assert chips.roofline(pod, 1, 1, few, 1).links == pytest.approx(12e-6)


@pytest.mark.parametrize(
  ('text', 'said'),
  [
    ('v9:2x2', 'there are v4, v5e, v5p, v6e, cpu, cuda, as in v5e:4x4'),
    ('v5e', 'there are v5e:1x1, 2x2, 2x4'),
    ('v5e:2x2x2', 'there are v5e:1x1, 2x2'),
    ('v5p:2x2', 'there are v5p:1x1x1, 2x2x1'),
    ('v5e:0x2', 'there are v5e:1x1'),
    ('v5e:2x-2', 'there are v5e:1x1'),
    # libtpu crashes.
    ('v5e:16x32', 'there are v5e:1x1, .*, 16x16$'),
    ('v4:2x4x6', 'there are .* and those of sides that 4 divides, up to 4,096'),
    ('v4:16x16x20', 'there are v4:1x1x1'),
    ('v4:0x4x4', 'there are v4:1x1x1'),
    ('v4:04x4x4', 'there are v4:1x1x1'),
  ],
)
def test_topologies_that_do_not_exist(text: str, said: str):
  with pytest.raises(ValueError, match=f'^--topology={text}: {said}'):
    chips.parse(text)


def test_topologies():
  assert chips.parse('v5p:2x2x4').num_chips == 16
  assert chips.parse('v5p:16x20x28').num_chips == chips.CHIPS['v5p'].most
  assert str(chips.of_count('v6e', 64)) == 'v6e:8x8'
  with pytest.raises(
    ValueError, match='--chips=3: of v5e there are pods of 1,'
  ):
    chips.of_count('v5e', 3)


def test_the_form_of_images_that_are_not_there():
  def form(given: absent.ImageSpec = NOTHING, **data: Any) -> absent.ImageSpec:
    return absent.form_of(configs.Data(**data), given)

  assert form(name='cifar10') == ((32, 32, 3), 10, 50_000)
  assert form(name='mnist', size=32).shape == (32, 32, 1)
  assert form(name='mnist', channels=3).shape == (28, 28, 3)
  assert form(name='imagenet2012', size=128).shape == (128, 128, 3)
  assert form(name='folder', size=64) == ((64, 64, 3), 0, 0)
  given = absent.ImageSpec((9, 8, 1), 4, 5)
  assert form(given, name='folder') == given
  # As training would make them.
  assert form(given, name='folder', size=64, channels=3) == ((64, 64, 3), 4, 5)
  with pytest.raises(ValueError, match='give --image=HEIGHT'):
    form(name='folder')
  assert absent.parse_shape('64x32x3') == (64, 32, 3)
  for text in ('64x64', '64x64x', '0x64x3', 'axbxc'):
    with pytest.raises(ValueError, match=f'--image={text}: must be HEIGHTx'):
      absent.parse_shape(text)


@pytest.mark.parametrize('examples', [0, 40])
@pytest.mark.parametrize('stack', [1, 3])
def test_absent_images_have_the_shapes_of_those_that_are(
  examples: int, stack: int
):
  data = configs.Data(name='folder', stack=stack)
  given = absent.ImageSpec((6, 5, 1), 4, examples)
  key = jax.random.key(0)
  source = absent.open_absent(data, key, (2, 4), given)
  arrays = absent.chunk_shapes(source, 10)
  batch = jax.eval_shape(source.batch, arrays, key, jnp.int32(3))
  assert batch.x.shape == (2, 4, 6, 5, stack)
  assert batch.label.shape == (2, 4)
  np.testing.assert_allclose(sum(source.info.class_shares), 1, rtol=1e-6)
  sizes = {x.size for x in jax.tree.leaves(arrays)}
  # Those of the set, or of ten steps.
  assert (examples or 10 * 8 * stack) * 6 * 5 in sizes


def test_a_cpu_is_compiled_for_and_a_gpu_lowered(tiny: configs.Config):
  config = build.complete(tiny)
  report = ahead.compile_for(config, 'cpu', NOTHING)
  state = jax.eval_shape(
    lambda: build.init_state(
      program.open_game(config).spec,
      build.make_hyper(config),
      jax.random.key(0),
    )
  )
  numbers = sum(x.size for x in jax.tree.leaves(state.gen_ema))
  assert report['memory']['average'] == 4 * numbers
  assert report['chips'] == 4
  assert report['fits'] is True
  assert {each['kind'] for each in report['collectives']} == {'all-reduce'}
  # The logs of both players go with the gradients of the second.
  parts = [each['part'] for each in report['collectives']]
  assert parts == ['disc_update', 'gen_update + disc_update']
  text = '\n'.join(forecast.lines(report))
  assert 'fits: 0.00 of' in text
  assert re.search(r'all-reduce +1 a step, 0\.00 MiB  disc_update', text)
  lowered = ahead.compile_for(config, 'cuda', NOTHING)
  assert lowered['fits'] is None
  assert lowered['operations'] == report['operations']
  assert 'what a compiler adds is not known' in '\n'.join(
    forecast.lines(lowered)
  )


def test_what_cannot_be_compiled_for(
  tiny: configs.Config, monkeypatch: pytest.MonkeyPatch
):
  config = build.complete(tiny)
  monkeypatch.setattr(importlib.util, 'find_spec', lambda _: None)
  with pytest.raises(
    ValueError, match=r"needs libtpu.*install -e '\.\[tpu-aot"
  ):
    ahead.compile_apart(config, 'v5e:2x2', NOTHING)
  # A folder of that name, that Python takes for a package.
  spec = importlib.machinery.ModuleSpec('libtpu', None, is_package=True)
  spec.submodule_search_locations = ['here/libtpu']
  monkeypatch.setattr(importlib.util, 'find_spec', lambda _: spec)
  with pytest.raises(
    ValueError, match='needs libtpu, and here/libtpu is a folder of that name'
  ):
    ahead.compile_apart(config, 'v5e:2x2', NOTHING)
  spec.origin = 'there'
  config.batch_size = 9
  with pytest.raises(
    ValueError, match='batch_size=9: must be a multiple of the 4 chips'
  ):
    ahead.compile_apart(config, 'v5e:2x2', NOTHING)
  config.population.seeds = 3
  with pytest.raises(ValueError, match='population: its members are trained'):
    ahead.compile_apart(config, 'cpu', NOTHING)


@pytest.mark.parametrize(
  ('data', 'form', 'said'),
  [
    ('ring', absent.ImageSpec((8, 8, 1)), "data.name='ring' needs none"),
    ('digits', absent.ImageSpec((), 0, 50), "data.name='digits' needs none"),
    ('mnist', absent.ImageSpec((), 9), '--classes=9: changes nothing without'),
  ],
)
def test_what_would_change_nothing_is_refused(
  data: str, form: absent.ImageSpec, said: str, tiny: configs.Config
):
  config = build.complete(tiny)
  config.data.name = data
  with pytest.raises(ValueError, match=said):
    ahead.compile_apart(config, 'cpu', form)


@pytest.mark.parametrize(
  ('flags', 'said'),
  [
    ('table --only=zzz', '--only=zzz: matches no configuration'),
    ('table --topologies=v5e:3x5', '--topology=v5e:3x5: there are'),
    ('table --topologies=cpu', '--topologies=cpu: must be pods'),
    ('table --print', '--print: --out=OUT has none of these'),
    (
      'for --topology=v5e --chips=4,64 --config.batch_size=30 '
      '--config=experiments/configs/ring_2d.py',
      '--chips: none is left; strong, v5e:2x2: left out: ',
    ),
  ],
)
def test_programs_that_compile_nothing_fail(
  flags: str, said: str, tmp_path: pathlib.Path
):
  program, *rest = flags.split()
  out = tmp_path / 'out.json'
  rest += [f'--out={out}'] * (program == 'table')
  done = subprocess.run(
    [sys.executable, '-m', f'experiments.compile_{program}', *rest],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=False,
  )
  assert (done.returncode, done.stdout) == (1, '')
  assert done.stderr.startswith(f'error: {said.replace("OUT", str(out))}')
  assert done.stderr.count('\n') == 1


def test_what_cannot_be_the_file_of_rows(tmp_path: pathlib.Path):
  path = tmp_path / 'rows.json'
  assert fitting.read(path) == {}
  for text in ('[]', '{"ring_2d v5e:2x2": 5}'):
    path.write_text(text)
    with pytest.raises(ValueError, match=r'rows.json: is no file of this'):
      fitting.read(path)
  with pytest.raises(ValueError, match=r'^--json=.*: is a folder$'):
    whole.check_file('json', tmp_path)


@pytest.mark.parametrize(
  ('code', 'wrote', 'said'),
  [
    (-11, 'some words\nRAW: signal 11\n', r'-11 \(SIGSEGV\)'),
    (3, 'some words\nthe last\n', '3: the last'),
    (3, '', '3, and said nothing'),
  ],
)
def test_a_compiler_that_crashes_is_one_line(
  code: int,
  wrote: str,
  said: str,
  tiny: configs.Config,
  monkeypatch: pytest.MonkeyPatch,
):
  def crash(*_: Any, **__: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.CompletedProcess([], code, '', wrote)

  monkeypatch.setattr(subprocess, 'run', crash)
  config = build.complete(tiny)
  line = f'^--topology=cpu: the compiler ended with exit code {said}$'
  with pytest.raises(ValueError, match=line):
    ahead.compile_apart(config, 'cpu', NOTHING)


def test_the_compiler_ends_with_who_started_it(tmp_path: pathlib.Path):
  # Of a shell that is killed once its child has begun to look.
  script = 'print("looks", flush=True); ahead._end_with(int(sys.argv[1]))'
  (tmp_path / 'child.py').write_text(
    f'import sys\nfrom gan_jax.engine import ahead\n{script}\n'
  )
  with subprocess.Popen(
    ['bash', '-c', f'{sys.executable} child.py $$ & wait'],
    cwd=tmp_path,
    env={**os.environ, 'PYTHONPATH': str(ROOT), 'JAX_PLATFORMS': 'cpu'},
    stdout=subprocess.PIPE,
  ) as shell:
    assert shell.stdout is not None
    assert shell.stdout.readline() == b'looks\n'
    shell.kill()
    # To its end, which is when the child too has closed it.
    shell.communicate(timeout=60)


def test_scaling_compares_with_the_first(
  tiny: configs.Config, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
):
  def compiled(
    config: configs.Config, topology: str, _: absent.ImageSpec
  ) -> dict[str, Any]:
    if config.batch_size == 8 and topology == 'v5e:4x4':
      raise ValueError('batch_size=8: not divided')
    count = chips.parse(topology).num_chips
    # Half a second of its own, and a second for each 8 samples of a chip.
    seconds = 0.5 + config.batch_size / count / 8
    line = chips.Roofline(seconds, 0.1, 0.2).to_json(config.batch_size)
    return {'chips': count, 'roofline': line, 'fits': count != unfit}

  unfit = 0
  monkeypatch.setattr(ahead, 'compile_apart', compiled)
  said: list[str] = []
  rows = scaling.predict(tiny, 'v5e', [1, 4, 16], NOTHING, say=said.append)
  found = {(r['kind'], r['chips']): r['efficiency'] for r in rows}
  assert found == pytest.approx({
    ('strong', 1): 1,
    ('strong', 4): 1.5 / 0.75 / 4,
    ('weak', 1): 1,
    ('weak', 4): 1,
    ('weak', 16): 1,
  })  # fmt: skip
  assert said == ['strong, v5e:4x4: left out: batch_size=8: not divided']
  assert 'a prediction' in forecast.scaling_lines(rows)[-1]
  # Where the first does not fit, all are held against the next, of its own.
  said, unfit = [], 1
  left = scaling.predict(tiny, 'v5e', [1, 4], NOTHING, say=said.append)
  assert said == ['strong, v5e:1x1: left out: it does not fit']
  told = [(r['kind'], r['chips'], r['report']['chips']) for r in left]
  assert told == [('strong', 4, 4), ('weak', 4, 4)]
  assert left[1]['efficiency'] == pytest.approx(0.75 / 1.5 * 4)
  (tmp_path / 'tiny.json').write_text(json.dumps(rows))
  curves = {'tiny': scaling.read(tmp_path / 'tiny.json')}
  assert curves['tiny'] == rows
  forecast.save_scaling(tmp_path / 'scaling.png', curves)
  assert (tmp_path / 'scaling.png').stat().st_size > 1000
  with pytest.raises(ValueError, match='--topology=v5e:2x2: with --chips'):
    scaling.predict(tiny, 'v5e:2x2', [1], NOTHING, say=print)
  (tmp_path / 'report.json').write_text('{"chips": 4}')
  (tmp_path / 'words.json').write_text('["efficiency"]')
  for name in ('report', 'words', 'absent'):
    with pytest.raises(ValueError, match=f'--beside=.*{name}.json: is not'):
      scaling.read(tmp_path / f'{name}.json')
  with pytest.raises(ValueError, match='--chips=1,b: takes numbers'):
    listed.numbers('chips', ['1', 'b'], int, 'numbers', 0)
  for bad in ('inf', 'nan'):
    with pytest.raises(ValueError, match=f'--rates=1,{bad}: takes numbers'):
      listed.numbers('rates', ['1', bad], float, 'numbers')
  # More than a float can be.
  with pytest.raises(ValueError, match=r'--seeds=1000.*: takes numbers'):
    listed.numbers('seeds', [str(10**400)], int, 'numbers', 0, 9)


@needs_libtpu
@pytest.mark.parametrize('title', ['ring_2d', 'digits:small_dcgan'])
def test_two_configurations_are_compiled_for_tpus(title: str):
  (name,) = [name for each, name in fitting.titles() if each == title]
  report = ahead.compile_apart(fitting.load(name, title), 'v5e:2x2', NOTHING)
  assert report['chips'] == 4
  assert report['fits'] is True
  assert report['products'].keys() == {'highest'}
  assert report['roofline']['bound'] in ('memory', 'links')
  sent = [hlo.Collective(**each) for each in report['collectives']]
  found = hlo.summed(sent, by_part=True)
  assert [each.kind for each in found] == ['all-reduce'] * 2
  assert {each.part for each in found} == {'disc_update', 'gen_update'}
  # One for each gradient; the others are of batch normalisation, and more than
  # these would be of a loop or of data (docs/pods.md).
  total = {'ring_2d': 2, 'digits:small_dcgan': 22}[title]
  assert sum(each.num for each in found) == pytest.approx(total)


@needs_libtpu
def test_features_are_of_float32_on_tpus():
  network = classifier.Classifier()
  images = jnp.zeros((2, 28, 28, 1))
  params = network.init(jax.random.key(0), images, train=False)

  def features(params: types.PyTree, images: jax.Array) -> types.Features:
    found: types.Features = network.apply(params, images, train=False)
    return found

  mesh = ahead._mesh(chips.parse('v5e:2x2'))
  whole = NamedSharding(mesh, PartitionSpec())
  args = jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=whole),
    (params, images),
  )
  lowered = jax.jit(features).trace(*args).lower(lowering_platforms=('tpu',))
  text = lowered.compile().as_text() or ''
  assert hlo.precisions(text).keys() == {'highest'}


@needs_libtpu
def test_batches_drawn_for_many_steps_are_shared_among_them(
  tiny: configs.Config,
):
  # On one chip alone. Of steps so small they were most of what was counted.
  tiny.log_every = tiny.eval.every = tiny.checkpoint.every = tiny.steps = 25
  tiny.data.name = 'ring'
  one, four = (
    row['report']['roofline']['seconds']['memory']
    for row in scaling.predict(
      build.complete(tiny), 'v5e', [1, 4], NOTHING, say=print
    )
    if row['kind'] == 'weak'
  )
  assert one < four


def test_the_table_tries_what_may_make_it_fit(
  monkeypatch: pytest.MonkeyPatch,
):
  def compiled(
    config: configs.Config, topology: str, _: absent.ImageSpec
  ) -> dict[str, Any]:
    remat = config.gen.net.remat and config.disc.net.remat
    fits = remat and config.precision == 'bfloat16'
    return {'topology': topology, 'fits': fits}

  monkeypatch.setattr(ahead, 'compile_apart', compiled)
  (name,) = [c for t, c in fitting.titles() if t == 'ffhq:256']
  rows = list(fitting.rows(fitting.load(name, ''), 'faces', 'v5e:2x2'))
  assert [(row['title'], row['fits']) for row in rows] == [
    ('faces', False),
    ('faces + remat', False),
    ('faces + remat + bfloat16', True),
  ]
  # The last remedy is to go through the batch in parts, down to one sample on
  # each chip.
  for enough, last in ((4, [3, 5]), (99, [3, 5, 15])):
    monkeypatch.setattr(
      ahead,
      'compile_apart',
      lambda config, *_, enough=enough: {'fits': config.microbatches > enough},
    )
    config = fitting.load(name, '')
    config.batch_size = 60
    whole = list(fitting.rows(config, 'faces', 'v5e:2x2'))
    titles = [row['title'].split(' + ')[-1] for row in whole]
    remedies = [
      'remat',
      'bfloat16',
      'fsdp',
      *(f'microbatches {n}' for n in last),
    ]
    assert titles == ['faces', *remedies]
  monkeypatch.setattr(ahead, 'compile_apart', compiled)
  # Of a folder with labels it is not known how many.
  asked = []
  monkeypatch.setattr(
    ahead,
    'compile_apart',
    lambda _, __, form: asked.append(form.classes) or {'fits': True},
  )
  for title in ('faces:person', 'faces:everyone'):
    (name,) = [c for t, c in fitting.titles() if t == title]
    assert [*fitting.rows(fitting.load(name, ''), title, 'v5e:2x2')]
  assert asked == [40, 0]
  monkeypatch.setattr(ahead, 'compile_apart', compiled)
  # A batch that the chips do not divide is the next that they do.
  (name,) = [c for t, c in fitting.titles() if t == 'cifar10:biggan']
  odd, *_ = fitting.rows(fitting.load(name, ''), 'odd', 'v5e:2x2')
  assert odd['title'] == 'odd + batch 52'
  (name,) = [c for t, c in fitting.titles() if t == 'imagenet:sagan']
  odd, *_ = fitting.rows(fitting.load(name, ''), 'odd', 'v5e:16x16')
  assert odd['title'] == 'odd + batch 512'
  header, _, *lines = forecast.markdown(rows)
  assert header.startswith('| configuration | chips | fits |')
  assert lines[0].startswith('| faces | v5e:2x2 | no |')


def test_the_peaks_of_chips_stand_in_the_docs():
  rows = [
    ['chip', 'TFLOP/s in bfloat16', 'GiB', 'GB/s to memory', 'GB/s of links',
     'source'],
    ['---', *['---:'] * 4, '---'],
  ]  # fmt: skip
  for chip in chips.CHIPS.values():
    rates = chip.bandwidth / 1e9, chip.links / 1e9
    numbers = chip.flops / 1e12, chip.memory / 2**30, *rates
    rows.append([chip.name, *(f'{n:,.0f}' for n in numbers), chip.source])
  table = '\n'.join(words.markdown(rows))
  assert f'\n{table}\n' in (ROOT / 'docs' / 'pods.md').read_text()
