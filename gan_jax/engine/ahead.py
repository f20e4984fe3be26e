"""A training chunk compiled for chips that are not there, and what it needs.

`compile_for` does so in this process; `compile_apart` in another one, which a
compiler that crashes ends alone.
"""

import contextlib
import importlib.metadata
import importlib.util
import json
import math
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any

import jax
from jax.experimental import topologies
from jax.sharding import Mesh

from gan_jax import types
from gan_jax.config import checks, fields as configs, values
from gan_jax.data import absent, opening
from gan_jax.engine import (
  batching,
  build,
  chips,
  chunks,
  compiler,
  flops,
  hlo,
  placing,
  program,
  sharding,
  traffic,
)

Report = dict[str, Any]


def compile_apart(
  config: configs.Config, topology: str, form: absent.ImageSpec
) -> Report:
  """`compile_for` in a process of its own.

  Raises:
    ValueError: as `compile_for`, or that process crashed.
  """
  kind = chips.parse(topology).chip
  _check(config, topology, form)
  asked = {
    'config': values.to_dict(config),
    'topology': topology,
    'form': form._asdict(),
  }
  done = subprocess.run(
    [sys.executable, '-m', __name__, str(os.getpid())],
    input=json.dumps(asked),
    env=_environment(kind),
    cwd=pathlib.Path(__file__).parents[2],
    capture_output=True,
    text=True,
    check=False,
  )
  if not done.stdout:
    raise ValueError(
      f'--topology={topology}: the compiler ended with exit code '
      f'{_code(done.returncode)}{_last_words(done)}'
    )
  report: Report = json.loads(done.stdout)
  if 'error' in report:
    raise ValueError(report['error'])
  return report


def _environment(kind: str) -> dict[str, str]:
  """That of a process without accelerators, and for TPUs without XLA's flags.

  Those are of this machine's backends, and libtpu ends at one it does not know.
  """
  settings = {
    'JAX_PLATFORMS': 'cpu',
    'TPU_SKIP_MDS_QUERY': '1',
    # No device is used, so several processes may compile at the same time.
    'ALLOW_MULTIPLE_LIBTPU_LOAD': '1',
  }
  dropped = () if kind == 'cpu' else ('XLA_FLAGS',)
  kept = {k: v for k, v in os.environ.items() if k not in dropped}
  return kept | settings


def _code(code: int) -> str:
  if code >= 0:
    return str(code)
  with contextlib.suppress(ValueError):
    return f'{code} ({signal.Signals(-code).name})'
  return str(code)


def _last_words(done: subprocess.CompletedProcess[str]) -> str:
  """The last line that it wrote; after a crash that only says so again."""
  if done.returncode < 0:
    return ''
  lines = done.stderr.strip().splitlines()
  return f': {lines[-1]}' if lines else ', and said nothing'


def _check(
  config: configs.Config, topology: str, form: absent.ImageSpec
) -> None:
  """What can be refused without compiling.

  Raises:
    ValueError: libtpu is not installed, the chips do not divide the batch, the
      configuration is of a population, or what is given of its images changes
      nothing.
  """
  asked = chips.parse(topology)
  checks.validate(config)
  if config.population.seeds > 1 or config.population.vary:
    raise ValueError(
      'population: its members are trained side by side, and what is compiled '
      'here is a single run; set population.seeds=1 and no population.vary'
    )
  if form != absent.ImageSpec() and config.data.name in opening.WITHOUT_FILES:
    raise ValueError(
      '--image, --classes, --examples: are of images that are not there, and '
      f'data.name={config.data.name!r} needs none; leave them out'
    )
  if form.classes and not config.conditional:
    raise ValueError(
      f'--classes={form.classes}: changes nothing without '
      '--config.conditional=true; leave it out'
    )
  if asked.chip in chips.OTHERS:
    return
  check_compiler(topology)
  sharding.check_divides(
    asked.num_chips, config, f'chips of --topology={topology}'
  )


def check_compiler(topology: str) -> None:
  """Raises ValueError where libtpu, which a TPU needs, is not installed."""
  found = importlib.util.find_spec('libtpu')
  if found is None:
    raise ValueError(
      f'--topology={topology}: needs libtpu, which compiles for TPUs without '
      "one: python -m pip install -e '.[tpu-aot]', or in a folder of its own "
      '(docs/pods.md)'
    )
  if found.origin is None:  # Python takes any folder of the name for it.
    (folder, *_) = found.submodule_search_locations or ['libtpu']
    raise ValueError(
      f'--topology={topology}: needs libtpu, and {folder} is a folder of that '
      'name but not libtpu; rename it, or leave it out of PYTHONPATH'
    )


def _mesh(topology: chips.Topology) -> Mesh:
  """Of its devices, which need not be there; of one for CPUs and GPUs."""
  if topology.chip in chips.OTHERS:
    return sharding.make_mesh()
  options: dict[str, Any] = {}
  if topology.chip == 'v4':  # Both of a chip's cores as one device.
    options['chip_config_name'] = 'megacore'
  if topology.num_chips == 1:
    options['chips_per_host_bounds'] = [1, 1, 1]
  description = topologies.get_topology_desc(
    str(topology), platform='tpu', **options
  )
  return sharding.mesh_of(description.devices)


def compile_for(
  config: configs.Config, topology: str, form: absent.ImageSpec
) -> Report:
  """What a chunk of steps needs of each chip, and how fast it could be at most.

  Args:
    config: complete; of a single run.
    topology: `chips.parse` takes it.
    form: what is known of images that are not there.

  Returns:
    Plain values, by name: `fits` says whether it does, None where that is not
    known, and `memory` has bytes of a chip by part. All but `length` and
    `memory` is of a step: `operations` are those of the algorithm on a chip
    (`flops.count`).

  Raises:
    ValueError: one line on what is wrong with the arguments.
  """
  _check(config, topology, form)
  asked = chips.parse(topology)
  game = _game(config, _mesh(asked), form)
  length = chunks.part_length(game, program.chunk_length(config, 0))
  args = _arguments(game, length)
  began = time.monotonic()
  traced = program.make_chunk(game, length).trace(*args)
  report: Report = {
    'topology': topology,
    'chips': game.mesh.size,
    'batch_size': config.batch_size,
    'samples': build.samples_per_step(config),
    'length': length,
    'matmul_precision': config.matmul_precision,
    'sharding': config.sharding,
    'versions': versions(),
    'operations': flops.of_traced(traced.jaxpr) / length / game.mesh.size,
    'memory': _held(args),
    'fits': None,
  }
  if asked.chip == 'cuda':
    traced.lower(lowering_platforms=('cuda',))
    return report
  try:
    if asked.chip == 'cpu':
      compiled = compiler.compile(program.make_chunk(game, length), *args)
    else:
      compiled = traced.lower(lowering_platforms=('tpu',)).compile()
  except jax.errors.JaxRuntimeError as error:
    if 'RESOURCE_EXHAUSTED' not in str(error):
      raise
    return report | {'fits': False, 'why': _one_line(error)}
  report['compile_seconds'] = time.monotonic() - began
  return report | _of_compiled(compiled, report, asked, game)


def versions() -> dict[str, str]:
  """Of what compiles."""
  names = ('jax', 'jaxlib', 'libtpu')
  by_name = {}
  for name in names:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
      by_name[name] = importlib.metadata.version(name)
  return by_name


def _one_line(error: Exception) -> str:
  lines = [line.strip() for line in str(error).splitlines() if line.strip()]
  return next((x for x in lines if 'Used' in x), lines[0])


def _game(
  config: configs.Config, mesh: Mesh, form: absent.ImageSpec
) -> program.Game:
  keys = program.root_keys(config.seed)
  shape = build.step_shape(config)
  source = absent.open_absent(config.data, keys.data, shape, form, mesh.size)
  return program.game_of(config, build.as_played(config, source), mesh)


def _arguments(game: program.Game, length: int) -> tuple[types.PyTree, ...]:
  """Shapes of a chunk's arguments, each with where it is."""

  def placed(tree: types.PyTree) -> types.PyTree:
    return sharding.abstract(tree, game.shardings(tree))

  state = game.abstract_state()
  arrays = absent.chunk_shapes(game.source, length)
  if game.source.split:
    images, labels = arrays
    rows = sharding.padded(len(images), game.mesh)
    lead = jax.ShapeDtypeStruct((rows, *images.shape[1:]), images.dtype)
    arrays = lead, labels
  arrays = sharding.abstract(arrays, placing.data_sharding(game, arrays))
  return state, placed(game.hyper), arrays, placed(game.keys)


def _held(args: tuple[types.PyTree, ...]) -> dict[str, float]:
  """Bytes of a chip that the arguments take, by part."""
  state, _, arrays, _ = args
  players = state.gen, state.disc
  return {
    'parameters': _bytes([player.params for player in players]),
    'optimiser': _bytes([player.opt_state for player in players]),
    'average': _bytes(state.gen_ema),
    'other_state': _bytes([[p.vars for p in players], state.memory]),
    'data': _bytes(arrays),
  }


def _bytes(tree: types.PyTree) -> float:
  """Of one device."""
  return float(
    sum(
      math.prod(x.sharding.shard_shape(x.shape)) * x.dtype.itemsize
      for x in jax.tree.leaves(tree)
    )
  )


def _of_compiled(
  compiled: jax.stages.Compiled,
  report: Report,
  topology: chips.Topology,
  game: program.Game,
) -> Report:
  """What only a compiled program tells."""
  text, costs = compiled.as_text() or '', compiled.cost_analysis() or {}
  analysis: Any = compiled.memory_analysis()
  memory = dict(report['memory'])
  if game.source.read is not None:
    memory['data_ahead'] = memory['data']
  # What the layouts of the chip add to the arguments.
  padding = analysis.argument_size_in_bytes - sum(report['memory'].values())
  memory |= {
    'padding': max(padding, 0.0),
    'temporaries': float(analysis.temp_size_in_bytes),
    'program': float(analysis.generated_code_size_in_bytes),
    # While the next steps run, a copy is evaluated or saved.
    'copy_of_state': float(analysis.output_size_in_bytes),
  }
  sent = hlo.collectives(text, report['length'])
  num_bytes = costs.get('bytes accessed', 0.0)
  num_bytes = max(num_bytes - traffic.shared(text, report['length']), 0.0)
  counted = float(costs.get('flops', 0.0))
  if game.spec.loop_disc and counted:
    # XLA counts a loop's body once.
    num_bytes *= max(report['operations'] / counted, 1.0)
  extra: Report = {
    'memory': memory,
    'xla_operations': counted,
    'bytes': num_bytes,
    'collectives': [each._asdict() for each in sent],
    'products': hlo.precisions(text),
  }
  limit = batching.memory_limit()
  if topology.chip != 'cpu':
    limit = chips.CHIPS[topology.chip].memory
    whole = game.config.precision == 'float32'
    line = chips.roofline(
      topology,
      report['operations'],
      num_bytes,
      hlo.summed(sent),
      chips.PASSES[game.config.matmul_precision] if whole else 1,
    )
    extra['roofline'] = line.to_json(report['samples'])
  return extra | {'limit': limit, 'fits': sum(memory.values()) <= limit}


def _end_with(parent: int) -> None:
  """Ends this process when the one that started it has."""
  while os.getppid() == parent:
    time.sleep(0.2)
  os._exit(1)


def _main(parent: int) -> None:
  """Answers on the standard output what stands on the standard input."""
  threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
  # Whatever libraries print goes elsewhere.
  answer = os.fdopen(os.dup(1), 'w')
  os.dup2(2, 1)
  asked: Mapping[str, Any] = json.load(sys.stdin)
  form = dict(asked['form'])
  form['shape'] = tuple(form['shape'])
  jax.config.update('jax_enable_compilation_cache', False)
  try:
    config = build.complete(values.from_dict(asked['config']))
    report = compile_for(config, asked['topology'], absent.ImageSpec(**form))
  except ValueError as error:
    report = {'error': str(error)}
  with answer:
    json.dump(report, answer)


if __name__ == '__main__':
  _main(int(sys.argv[1]))
