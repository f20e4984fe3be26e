"""The model card of an exported sampler."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

from gan_jax.engine import build
from gan_jax.evaluation import evaluator
from gan_jax.run import trained
from gan_jax.storage import history, lines, workdir as workdirs

# What loads a folder without this package; also in docs/running.md.
SCRIPT = """\
import json, pathlib, sys
import jax, jax.export, numpy as np

folder, out, num, seed = pathlib.Path(sys.argv[1]), *sys.argv[2:5]
data = (folder / 'gen.safetensors').read_bytes()
start = 8 + int.from_bytes(data[:8], 'little')  # The header's length is first.
header = json.loads(data[8:start])
header.pop('__metadata__', None)
weights = {}
for name, x in header.items():
  first, last = (start + offset for offset in x['data_offsets'])
  kind = {'F32': 'f4', 'I32': 'i4', 'U32': 'u4'}[x['dtype']]
  weights[name] = np.frombuffer(data[first:last], kind).reshape(x['shape'])
latents, sample = (
  jax.export.deserialize(bytearray((folder / name).read_bytes())).call
  for name in ('latents.stablehlo', 'sample.stablehlo')
)
model = json.loads((folder / 'model.json').read_text())
kind, at = model['truncation'], model.get('truncated_at')  # At None nothing is.
bound = [np.float32(at or np.inf)] if kind == 'latent' else []  # Of each |z|.
psi = [np.float32(at or 1)] if kind == 'w' else []
z_and_label = latents(np.uint32(seed), np.zeros(int(num), 'f4'), *bound)
np.save(out, sample(weights, *z_and_label, *psi))
"""


def card(
  run: trained.Run,
  workdir: pathlib.Path,
  parameters: Mapping[str, int],
  member: int | None = None,
) -> str:
  """README.md of the folder, in Markdown.

  Args:
    run: that was exported.
    workdir: of it.
    parameters: of each player's network.
    member: which run of a population it is.
  """
  config = run.config
  stamp = evaluator.generator_stamp(config, run.spec)
  files = history.converted_from(history.read(workdir))
  facts = {
    **_facts(run, parameters),
    **_origin(run, files),
    'classes': _classes(run),
    **{f'generator: {name}': str(value) for name, value in stamp.items()},
    **_made_with(workdir),
  }
  table = '\n'.join(f'| {name} | {value} |' for name, value in facts.items())
  of, made_by = f'of {config.data.name}', 'Trained and exported'
  if files:
    of, made_by = 'that other code has trained', 'Converted and exported'
  return f"""# A generator {of}

{made_by} by gan_jax. `model.json` has every setting.

| | |
|---|---|
{table}

## Figures

{_figures(workdir, {'step': int(run.state.step), 'member': member} | stamp)}

## Files

| | |
|---|---|
| `sample.stablehlo` | {_arguments(run)} -> samples |
| `latents.stablehlo` | {_drawn(run)} |
| `gen.safetensors` | the generator's weights |
| `disc.safetensors` | the discriminator's, for who trains on |

Both programs take any n and run on CPU, CUDA and TPU. Noise within the network
is the same in each call. They are traced without gan_jax's fast paths for CPUs,
which only its own code can call: there they may be slower than in gan_jax, and
differ from it by rounding.

## Use

With jax, numpy and flatbuffers alone, as
`python sample.py FOLDER images.npy 16 0`:

```python
{SCRIPT}```

gan_jax starts a run from these weights with `--config.init_from=FOLDER`.

## Limits

Samples are like the data, with what is wrong or missing in them, and some may
be near copies of training images. The licence of the data is not known here.
"""


def _facts(run: trained.Run, parameters: Mapping[str, int]) -> dict[str, str]:
  """What was trained, and by which losses."""
  config, shape = run.config, ' x '.join(map(str, run.info.shape))
  terms = [
    name
    for of_player in run.spec.terms
    for name, term in of_player.items()
    if term.value is not None
  ]
  return {
    'samples': f'{shape}, {_units(run.info.kind)}',
    'generator': f'{config.gen.name}, {parameters["gen"]:,} parameters',
    'discriminator': f'{config.disc.name}, {parameters["disc"]:,} parameters',
    'loss': config.loss,
    **({'terms of it': ', '.join(terms)} if terms else {}),
  }


def _made_with(workdir: pathlib.Path) -> dict[str, str]:
  """The code and the packages of the newest part of the run."""
  made = workdirs.sessions(workdir)[-1]
  versions = ', '.join(f'{k} {v}' for k, v in made['versions'].items())
  return {'gan_jax': str(made['commit']), 'versions': versions}


def _units(kind: str) -> str:
  return 'float32 in [-1, 1]' if kind == 'images' else 'float32'


def _origin(run: trained.Run, files: list[str]) -> dict[str, str]:
  """Where the weights come from: of these files of other code, if any."""
  if files:
    return {'converted from': ', '.join(files)}
  steps, samples = int(run.state.step), run.config.batch_size
  return {
    'trained': f'{steps:,} steps of {samples} samples',
    'data': _data(run),
  }


def _data(run: trained.Run) -> str:
  data, info = run.config.data, run.info
  count = f', {info.num_examples:,} examples' if info.num_examples else ''
  print_ = f', fingerprint {info.fingerprint}' if info.fingerprint else ''
  return f'{data.name}, split {data.split}{count}{print_}'


def _classes(run: trained.Run) -> str:
  if not build.count_classes(run.config, run.info):
    return 'none'
  if run.config.gen.codes:
    return f'{run.config.gen.codes} codes'
  names = run.info.class_names
  shown = ', '.join(names[:20]) + (', ...' if len(names) > 20 else '')
  return f'{len(run.info.class_shares)} ({shown})'


def _drawn(run: trained.Run) -> str:
  """What the program of latents takes and gives."""
  takes = 'seed `[]` uint32, anything `[n]` float32'
  if run.spec.gen.truncation == 'latent':
    takes += ', bound of |z| `[]` float32 (inf for none)'
  gives = f'z `[n, {run.config.gen.latent_dim}]` float32'
  if build.count_classes(run.config, run.info):
    gives += ' and label `[n]` int32'
  return f'{takes} -> the tuple of {gives}'


def _arguments(run: trained.Run) -> str:
  parts = [
    'the weights by name',
    f'z `[n, {run.config.gen.latent_dim}]` float32 ({run.config.gen.latent})',
  ]
  if build.count_classes(run.config, run.info):
    parts.append('label `[n]` int32')
  if run.spec.gen.truncation == 'w':
    parts.append('psi `[]` float32 (1 for none)')
  return ', '.join(parts)


# What of a stamp says which generator was measured.
# 'langevin' is of samples that D moved: an export has none.
_WHOSE = 'step', 'member', 'weights', 'truncation', 'langevin'


def _figures(workdir: pathlib.Path, of: Mapping[str, Any]) -> str:
  """Those that `experiments.evaluate` has stored of this generator."""
  found = lines.read(workdir / 'evaluations.jsonl')
  own = [
    x for x in found if all(x['stamp'].get(n) == of.get(n) for n in _WHOSE)
  ]
  if not own:
    return 'None was measured by `experiments.evaluate` of this generator.'
  figures = {k: v for x in own for k, v in x['figures'].items()}
  rows = '\n'.join(f'| {name} | {value} |' for name, value in figures.items())
  stamp = json.dumps(own[-1]['stamp'], indent=2)
  return (
    f'| | |\n|---|---|\n{rows}\n\nThe last of them was measured by this '
    f'protocol:\n\n```json\n{stamp}\n```'
  )
