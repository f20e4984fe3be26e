"""A picture of a page, taken by the system's Chromium.

  python -m experiments.screenshot --page=report.html --out=page.png

Needs playwright, which the tests need too, and a Chromium.
"""

import io
import os
import pathlib
import shutil

import PIL.Image
from absl import flags

from experiments import launch
from gan_jax.storage import whole

_PAGE = flags.DEFINE_string('page', None, 'The HTML file.')
_OUT = flags.DEFINE_string('out', None, 'The png to write.')
_WIDTH = flags.DEFINE_integer('width', 1280, 'Of the screen.', lower_bound=200)
_HEIGHT = flags.DEFINE_integer('height', 900, 'The same.', lower_bound=200)
_DARK = flags.DEFINE_bool('dark', False, 'Use the dark theme.')
_SECTION = flags.DEFINE_string(
  'section', '', 'What is at the top: runs, curves, samples, details, table.'
)
_GAME = flags.DEFINE_integer('game', 0, 'Which game is shown, from 0.')


def main() -> None:
  if not (_PAGE.value and _OUT.value):
    raise ValueError('--page and --out must be given')
  page, out = pathlib.Path(_PAGE.value), pathlib.Path(_OUT.value)
  whole.check_file('out', out)
  if not page.is_file():
    raise ValueError(f'--page={page}: there is no such file')
  chromium = shutil.which('chromium') or shutil.which('chromium-browser')
  if chromium is None:
    raise ValueError('there is no Chromium: apt-get install chromium')
  try:
    from playwright import sync_api
  except ModuleNotFoundError:
    raise ValueError(
      "playwright is not installed: pip install 'gan_jax[test]'"
    ) from None
  with sync_api.sync_playwright() as playwright:
    # Chromium's own sandbox is not for root.
    flag = ['--no-sandbox'] if os.getuid() == 0 else []
    browser = playwright.chromium.launch(executable_path=chromium, args=flag)
    screen = browser.new_page(
      viewport={'width': _WIDTH.value, 'height': _HEIGHT.value},
      color_scheme='dark' if _DARK.value else 'light',
    )
    screen.goto(page.absolute().as_uri())
    screen.wait_for_selector('html[data-state=ready]')
    screen.evaluate(
      """([game, section]) => {
        if (game) { chosen.game = game; tell('game'); }
        const found = document.getElementById(section);
        if (found) found.scrollIntoView();
      }""",
      [_GAME.value, _SECTION.value],
    )
    # Until what came into view is drawn.
    screen.wait_for_function("""() => [...document.querySelectorAll('.plot')]
      .filter(plot => plot.getBoundingClientRect().top < innerHeight
        && plot.getBoundingClientRect().bottom > 0)
      .every(plot => plot.querySelector('.main-svg'))""")
    data = screen.screenshot()
    browser.close()
  with PIL.Image.open(io.BytesIO(data)) as picture:
    picture.convert('RGB').save(out, optimize=True)
  print(f'{out}, {out.stat().st_size / 1e3:.0f} kB')


if __name__ == '__main__':
  launch.run(main)
