"""A process of its own that reads what native libraries print.

Run as a script, with the standard library alone. It passes lines on to its
stderr, but for what JAX's coordination service and Gloo say of other processes:
pages of that become one line, should the service end this process.
"""

import re
import sys
from collections.abc import Iterable, Iterator

_HEADER = re.compile(r'([IWEF])\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ ([\w.]+):\d+\] ')
_SERVICE = re.compile(r'client\.h|(coordination_|preemption_)\w+\.cc')


def kept(lines: Iterable[str], ended: str) -> Iterator[str]:
  """What is worth reading.

  Args:
    lines: as they come.
    ended: said once, in place of the service's reason to end the process.
  """
  of_service = False
  for line in lines:
    header = _HEADER.match(line)
    if header:
      of_service = bool(_SERVICE.fullmatch(header[2]))
      if of_service and header[1] == 'F':
        yield ended
        return
    elif line.startswith('[Gloo] Rank'):
      continue
    if not of_service:
      yield line


if __name__ == '__main__':
  # To its end: whoever writes into a closed pipe is killed.
  for text in kept(sys.stdin, sys.argv[1] + '\n'):
    sys.stderr.write(text)
    sys.stderr.flush()
  for _ in sys.stdin:
    pass
