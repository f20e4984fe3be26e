r"""Compiles a configuration's training for chips that are not there.

  python -m experiments.compile_for --topology=v5e:4x4 \
    --config=experiments/configs/mnist.py

Prints whether it fits, the memory of a chip by part, operations, what is sent
between chips, and the least time of a step at the chip's published peaks. The
data need not be there. --topology is v4, v5e, v5p or v6e with a shape, cpu, or
cuda, for which it is only lowered.

--chips=1,4,16,64,256 compiles for pods of so many chips of --topology=v5e, with
the configuration's batch for all of them and with a batch that grows with them,
and prints (and with --plot=FILE.png draws) the speed that these peaks predict.
--beside=a.json,b.json draws what --json kept of other configurations beside it.
"""

import json
import pathlib

from absl import flags

from experiments import launch, listed

_CONFIG = launch.define_config()
_TOPOLOGY = flags.DEFINE_string(
  'topology', None, 'Chips, such as v5e:4x4; cpu or cuda; v5e with --chips.'
)
_CHIPS = flags.DEFINE_list('chips', None, 'Numbers of chips to predict.')
_PLOT = flags.DEFINE_string('plot', None, 'With --chips: a png to draw.')
_BESIDE = flags.DEFINE_list(
  'beside', [], 'With --plot: files of --json that are drawn beside.'
)
_JSON = flags.DEFINE_string('json', None, 'A file for the figures.')
_IMAGE = flags.DEFINE_string(
  'image', None, 'HEIGHTxWIDTHxCHANNELS of images that are not there.'
)
_CLASSES = flags.DEFINE_integer('classes', 0, 'Of their labels.', lower_bound=0)
_EXAMPLES = flags.DEFINE_integer(
  'examples', 0, 'How many of them there are; unknown ones are streamed.',
  lower_bound=0,
)  # fmt: skip


def main() -> None:
  if _CONFIG.value is None or _TOPOLOGY.value is None:
    raise ValueError('--config=FILE and --topology=NAME must be given')
  if _PLOT.value and not _CHIPS.value:
    raise ValueError(f'--plot={_PLOT.value}: needs --chips')
  if _BESIDE.value and not _PLOT.value:
    raise ValueError(f'--beside={",".join(_BESIDE.value)}: needs --plot')
  from gan_jax.data import absent
  from gan_jax.engine import ahead, scaling
  from gan_jax.report import forecast
  from gan_jax.storage import whole

  out = pathlib.Path(_JSON.value) if _JSON.value else None
  for path, flag in ((out, 'json'), (_PLOT.value, 'plot')):
    if path:
      whole.check_file(flag, path)

  form = absent.ImageSpec(
    absent.parse_shape(_IMAGE.value), _CLASSES.value, _EXAMPLES.value
  )
  name, config = _TOPOLOGY.value, _CONFIG.value
  curve = out.stem if out else name
  beside = [pathlib.Path(path) for path in _BESIDE.value]
  curves = {each.stem: scaling.read(each) for each in beside}
  if len(curves | {curve: []}) <= len(beside):
    raise ValueError(
      f'--beside={",".join(_BESIDE.value)}: two curves would have one name, '
      'which is that of the file'
    )
  if _CHIPS.value:
    counts = listed.numbers('chips', _CHIPS.value, int, 'numbers', 0)
    counts = sorted(set(counts))
    rows = scaling.predict(config, name, counts, form, say=print)
    print(*forecast.scaling_lines(rows), sep='\n')
    if _PLOT.value:
      curves[curve] = rows
      forecast.save_scaling(pathlib.Path(_PLOT.value), curves)
    result: object = rows
  else:
    report = ahead.compile_apart(config, name, form)
    print(*forecast.lines(report), sep='\n')
    result = report
  if out:
    out.write_text(json.dumps(result, indent=2) + '\n')


if __name__ == '__main__':
  launch.run(main)
