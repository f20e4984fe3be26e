"""Blocks of a Markdown page that programs write; the rest is written by hand.

A block begins with the line `<!-- KIND: NAME -->` and ends with
`<!-- KIND ends -->`.
"""

import re
from collections.abc import Callable, Sequence


def fill(
  text: str, kind: str, make: Callable[[str], Sequence[str] | None]
) -> str:
  """A page with new lines in its blocks of a kind.

  Args:
    text: of the page, in Markdown.
    kind: of the blocks.
    make: the lines of the block of that name, or None to leave it as it is.

  Raises:
    ValueError: there is no such block, or one that does not end.
  """

  def filled(match: re.Match[str]) -> str:
    lines = make(match[1].strip())
    if lines is None:
      return match[0]
    begin = f'<!-- {kind}: {match[1].strip()} -->'
    return '\n'.join([begin, '', *lines, '', f'<!-- {kind} ends -->'])

  block = rf'<!-- {kind}:(.*?)-->\n.*?<!-- {kind} ends -->'
  pattern = re.compile(block, re.DOTALL)
  begun = text.count(f'<!-- {kind}:')
  if not begun or len(pattern.findall(text)) != begun:
    raise ValueError(
      f"has no block of the kind {kind}, or one that does not end: '<!-- "
      f"{kind}: NAME -->' and '<!-- {kind} ends -->' stand each on a line"
    )
  return pattern.sub(filled, text)
