"""The pages: links lead somewhere, and commands name what is there."""

import pathlib
import re
import shlex
from collections.abc import Iterator

import pytest

from experiments import files
from gan_jax.config import overrides
from gan_jax.data import densities
from gan_jax.engine import build, names, player_terms
from gan_jax.evaluation.catalogue import METRICS

ROOT = pathlib.Path(__file__).parent.parent
PAGES = [ROOT / 'README.md', *sorted((ROOT / 'docs').glob('*.md'))]


def anchors(page: pathlib.Path) -> set[str]:
  """As GitHub names headings, and those that the page sets itself."""
  text = page.read_text()
  titles = re.findall(r'^#+ (.*)$', text, re.MULTILINE)
  made = {
    re.sub(r'[^\w\- ]', '', title.lower()).replace(' ', '-') for title in titles
  }
  return made | set(re.findall(r'<a id="([^"]+)">', text))


def commands(page: pathlib.Path) -> Iterator[tuple[str, list[str]]]:
  """Each program of ours that a page starts, and its arguments."""
  blocks = re.findall(r'^```\w*\n(.*?)^```', page.read_text(), re.M | re.S)
  for line in '\n'.join(blocks).replace('\\\n', ' ').splitlines():
    if match := re.search(r'\b(experiments(?:\.\w+)+) (-.*)$', line):
      yield match[1], shlex.split(match[2], comments=True)


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: pathlib.Path):
  broken = []
  for target in re.findall(r'\]\(([^)\s]+)\)', page.read_text()):
    if target.startswith('https://'):
      continue
    path, _, anchor = target.partition('#')
    other = page.parent / path if path else page
    if not other.exists() or (anchor and anchor not in anchors(other)):
      broken.append(target)
  assert not broken


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_commands_name_what_is_there(page: pathlib.Path):
  known = {
    name
    for path in (ROOT / 'experiments').rglob('*.py')
    for name in re.findall(r"DEFINE_\w+\(\s*'(\w+)'", path.read_text())
  }
  for module, arguments in commands(page):
    program = ROOT / f'{module.replace(".", "/")}.py'
    assert program.is_file(), module
    given = [a[2:].partition('=') for a in arguments if a.startswith('--')]
    asked = {name for name, _, _ in given if not name.startswith('config')}
    unknown = {name for name in asked - known if name[2:] not in known}
    assert not unknown, (module, arguments)
    for name, _, value in given:
      of_run = value.endswith('/config.json')
      if name in ('config', 'table') and '/' in value and not of_run:
        assert (ROOT / f'{value.partition(".py")[0]}.py').is_file(), value
        if name == 'config':
          config = files.load_config(str(ROOT / value))
          changes = [(n[7:], v) for n, _, v in given if n[:7] == 'config.']
          overrides.apply(config, changes, build.complete)


def test_tables_have_their_commands():
  """Each block of a page is filled by a command of it, and by one alone."""
  page = ROOT / 'docs' / 'results.md'
  text = page.read_text()
  filled = re.findall(r'--fill=docs/results\.md:(\w+)', text)
  assert sorted(filled) == sorted(re.findall(r'<!-- table: (\w+) -->', text))
  assert len(filled) == text.count('<!-- table ends -->') > 0
  # As the commands write them.
  rules = re.findall(r'<!-- table: .*\n\n\|.*\n(.*)\n', text)
  assert len(rules) == len(filled)
  for rule in rules:
    assert re.fullmatch(r'\| --- \|( ---: \|)+', rule)


def test_all_names_are_told():
  """What a field chooses by name, in the table of names."""
  page = (ROOT / 'docs' / 'running.md').read_text()
  (section,) = re.findall(r'^### Names\n(.*?)^### ', page, re.M | re.S)
  told = set(re.findall(r'`(\w+)`', section))
  for options in (
    names.LOSSES, player_terms.TERMS.disc, player_terms.TERMS.gen, names.RULES,
    names.NETWORKS, names.LATENTS, names.OPTIMISERS, names.LATENT_SHARING,
    names.LABEL_LAWS, names.PRECISIONS, names.SCHEDULES,
    densities.DENSITIES, densities.POINTS,
  ):  # fmt: skip
    missing = options.keys() - told
    assert not missing, f'docs/running.md, "Names", lacks {missing}'
  missing = METRICS.keys() - set(re.findall(r'`(\w+)`', page))
  assert not missing, f'docs/running.md lacks the metrics {missing}'
  help_of = (ROOT / 'experiments' / 'evaluate.py').read_text()
  fields = (ROOT / 'gan_jax' / 'config' / 'fields.py').read_text()
  for text in (help_of, fields):
    missing = {n for n in METRICS if not n.startswith('fd_') and n not in text}
    assert not missing, f'the help of metrics lacks {missing}'
