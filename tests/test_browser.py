"""The page in a real browser: it says nothing wrong and does what it shows."""

import json
import os
import pathlib
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
import run_folders

from gan_jax.config import fields as configs
from gan_jax.engine import build
from gan_jax.report import pages
from gan_jax.study import tables

sync_api = pytest.importorskip(
  'playwright.sync_api', reason='playwright is not installed'
)
CHROMIUM = shutil.which('chromium') or shutil.which('chromium-browser')
pytestmark = pytest.mark.skipif(
  CHROMIUM is None, reason='there is no Chromium: apt-get install chromium'
)


def make_runs(folder: pathlib.Path) -> list[pathlib.Path]:
  """Three seeds of a density, a ring, images and a population."""
  runs = []
  for seed in range(3):
    config = build.complete(configs.Config(steps=190, seed=seed))
    runs.append(run_folders.make(folder / f'seed_{2 - seed}', config))
  for name, info in (
    ('ring', run_folders.POINTS),
    ('digits', run_folders.IMAGES),
  ):
    config = build.complete(configs.Config(steps=190))
    config.data.name = name
    runs.append(run_folders.make(folder / name, config, info, end='diverge'))
  many = build.complete(configs.Config(steps=190))
  many.population.seeds = 2
  many.population.vary = {'penalties.r1.weight': [0.0, 0.1]}
  return [*runs, run_folders.make(folder / 'many', many)]


@pytest.fixture(scope='module')
def browser() -> Iterator[Any]:
  with sync_api.sync_playwright() as playwright:
    # Chromium's own sandbox is not for root, who runs tests in containers.
    flags = ['--no-sandbox'] if os.getuid() == 0 else []
    started = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
    yield started
    started.close()


@pytest.fixture(scope='module')
def path(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
  folder = tmp_path_factory.mktemp('runs')
  data = pages.collect(make_runs(folder), 'Some runs')
  pages.write(folder / 'page.html', data)
  return folder / 'page.html'


@pytest.fixture(scope='module')
def page(browser: Any, path: pathlib.Path) -> Iterator[Any]:
  opened = browser.new_page(viewport={'width': 1280, 'height': 900})
  said: list[str] = []
  opened.on('console', lambda message: said.append(message.text))
  opened.on('pageerror', lambda error: said.append(str(error)))
  opened.goto(path.as_uri())
  opened.wait_for_selector('html[data-state=ready]')
  yield opened
  assert said == []
  opened.close()


def column(page: Any, number: int) -> list[str]:
  cells = page.locator(
    f'#runs table >> nth=0 >> tbody tr > :nth-child({number})'
  )
  return [text.strip() for text in cells.all_inner_texts()]


def test_the_table_sorts(page: Any):
  head = page.locator('#runs thead button', has_text='run').first
  assert column(page, 1)[0] == 'seed_2'
  head.focus()
  page.keyboard.press('Enter')
  names = column(page, 1)
  assert names == sorted(names)
  page.keyboard.press('Enter')
  assert column(page, 1) == names[::-1]
  order = page.locator('#runs th[aria-sort]').get_attribute('aria-sort')
  assert order == 'descending'


def test_a_curve_tells_what_is_below_the_pointer(page: Any):
  card = page.locator('#curves .card', has_text='ks').first
  card.scroll_into_view_if_needed()
  card.locator('.main-svg').first.wait_for()
  card.locator('.nsewdrag').first.hover()
  shown = card.locator('.hoverlayer')
  shown.locator('text').first.wait_for()
  assert 'mean of 3 seeds' in shown.text_content()


def test_axes_smoothing_and_switches_draw_again(page: Any):
  def state() -> Any:
    return page.evaluate("""() => {
      const plot = document.querySelector('#curves .plot');
      return [plot.data.length, plot.layout.xaxis.title.text,
        plot.layout.yaxis.type, plot.data.at(-1).y[1]];
    }""")

  page.locator('#curves .plot').first.scroll_into_view_if_needed()
  page.wait_for_function("document.querySelector('#curves .plot').data")
  traces, title, kind, value = state()
  assert (title, kind) == ('steps', 'linear')
  page.get_by_role('button', name='seconds').click()
  page.get_by_label('logarithm').check()
  assert state()[1:3] == ['seconds', 'log']
  page.locator('#smoothing').fill('0.9')
  assert state()[3] != value
  page.get_by_label('bands over seeds').uncheck()
  page.locator('#smoothing').fill('0')
  # Three lines in place of a mean with two edges, then one of them less.
  assert state()[0] == traces
  page.locator('.chip', has_text='seed_1').click()
  assert state()[0] == traces - 1
  assert not page.get_by_label('show seed_1').is_checked()
  page.locator('.chip', has_text='seed_1').click()


def test_the_slider_moves_the_samples(page: Any):
  page.get_by_label('Game').first.select_option(
    label='digits, images of 4x4x1 (1)'
  )
  picture = page.locator('#samples img')
  last = picture.get_attribute('src')
  assert 'step 180' in page.locator('#samples .card h4').inner_text()
  page.locator('#moment').focus()
  page.keyboard.press('ArrowLeft')
  assert 'step 160' in page.locator('#samples .card h4').inner_text()
  assert picture.get_attribute('src') != last
  assert picture.evaluate(
    'image => image.decode().then(() => image.naturalWidth)'
  )


def test_a_cloud_is_drawn(page: Any):
  page.get_by_label('Game').last.select_option(label='ring, points of 2 (1)')
  page.locator('#samples .plot').scroll_into_view_if_needed()
  page.locator('#samples .contourlayer .contour').wait_for(state='attached')


def test_a_run_tells_how_to_repeat_it(page: Any):
  page.context.grant_permissions(['clipboard-read', 'clipboard-write'])
  page.locator('details.run', has_text='digits').locator(
    'summary'
  ).first.click()
  run = page.locator('details.run[open]')
  assert 'diverged: not finite' in run.locator('.history').inner_text()
  run.get_by_role('button', name='Copy').click()
  run.get_by_text('copied').wait_for()
  copied = page.evaluate('navigator.clipboard.readText()')
  assert 'python -m experiments.train \\\n' in copied
  assert '--config.data.name=digits' in copied


def test_the_theme_follows_the_system_and_the_switch(page: Any):
  page.emulate_media(color_scheme='dark')
  page.locator('html[data-theme=dark]').wait_for()
  page.locator('#theme').click()
  page.locator('html[data-theme=light]').wait_for()
  page.emulate_media(color_scheme='light')


def test_a_narrow_screen_needs_no_scrolling_to_the_side(page: Any):
  page.set_viewport_size({'width': 400, 'height': 800})
  assert page.evaluate('document.documentElement.scrollWidth') == 400


def test_the_page_of_a_table(browser: Any, tmp_path: pathlib.Path):
  made = build.complete(configs.Config(steps=190))
  made.population.seeds = 3
  table = tables.Table(
    rows={'plain': made, 'with R1': made},
    columns=[tables.Column('ks', 'KS')],
    comparisons=[('plain', 'with R1', 'ks')],
    parts={'by class': [tables.Column('of_0', 'the first')]},
    published={'with R1': {'ks': '.45'}},
  )
  summaries = {
    'plain': {'ks': {'members': [0.1, 0.2, 0.3]}, 'of_0': 1.0},
    'with R1': {'ks': {'members': [0.4, None, 0.6]}, 'of_0': 2.0},
  }
  run_folders.make(tmp_path / 'plain', made)
  folders = [tmp_path / 'plain', tmp_path / 'with_R1']
  pages.write_table(table, summaries, 'again', tmp_path, folders)
  opened = browser.new_page()
  said: list[str] = []
  opened.on('pageerror', lambda error: said.append(str(error)))
  opened.goto((tmp_path / 'report.html').as_uri())
  opened.locator('#table .errorbar').first.wait_for(state='attached')
  opened.get_by_role('button', name='KS').click()
  of_classes = opened.locator('#table table').nth(1).inner_text()
  assert of_classes.split()[3:6] == ['the', 'first', 'plain']
  table_rows = opened.locator('#table table').first.locator('tbody tr')
  rows = table_rows.all_inner_texts()
  assert [row.split() for row in rows] == [
    ['plain', '3', '0', '0.200', '±', '0.058'],
    ['with', 'R1', '3', '1', '0.500', '±', '0.100', '(2)', '.45'],
  ]
  assert 'plain - with R1 = -0.3' in opened.locator('#table li').inner_text()
  # The second row's folder is not there.
  assert 'were skipped: 1' in opened.locator('main').inner_text()
  assert said == []
  opened.close()


def test_forty_runs_of_a_thousand_rows_open_within_three_seconds(
  browser: Any, tmp_path: pathlib.Path
):
  """Of the page's own thread, whatever else the machine does."""
  config = build.complete(configs.Config(steps=9990))
  first = run_folders.make(tmp_path / '00', config, rows=1000)
  folders = [first]
  for i in range(1, 40):
    folders.append(tmp_path / f'{i:02d}')
    shutil.copytree(first, folders[-1])
    path = folders[-1] / 'config.json'
    stored = json.loads(path.read_text())
    stored['config']['seed'] = i
    path.write_text(json.dumps(stored))
  pages.write(tmp_path / 'page.html', pages.collect(folders, 'Forty'))
  assert (tmp_path / 'page.html').stat().st_size < 8e6
  opened = browser.new_page()
  session = opened.context.new_cdp_session(opened)
  session.send('Performance.enable', {'timeDomain': 'threadTicks'})
  opened.goto((tmp_path / 'page.html').as_uri())
  opened.wait_for_selector('html[data-state=ready]')
  assert opened.locator('#runs tbody tr').count() == 41  # One over the seeds.
  found = session.send('Performance.getMetrics')['metrics']
  spent = {metric['name']: metric['value'] for metric in found}
  assert spent['TaskDuration'] < 3
  opened.close()
