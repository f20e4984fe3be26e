"""Where processes meet before JAX connects them.

JAX waits for all of them as well, but who waits in vain is ended with pages of
text and no name. So they first meet at the same port by a protocol of their
own: each tells process 0 who it is, and waits to be let go.
"""

import contextlib
import json
import platform
import socket
import time
from collections.abc import Iterable
from typing import Any, NamedTuple

# Seconds for what is sent at once after a connection, and for which one that
# does not come waits to say so.
_PROMPT = 5.0
_PATIENCE = 20.0
# Characters of a reason.
_LONGEST = 300


class ProcessAddress(NamedTuple):
  """Which process this one is, and of how many.

  Attributes:
    coordinator: HOST:PORT of process 0.
    num_processes: how many there are.
    process_id: of this one, from 0.
  """

  coordinator: str | None = None
  num_processes: int | None = None
  process_id: int | None = None


def checked(process: ProcessAddress) -> ProcessAddress:
  """The same, or what is wrong with it.

  Raises:
    ValueError: it is not whole, or makes no sense.
  """
  if None in process:
    raise ValueError(
      '--coordinator, --num_processes and --process_id: give all of them or '
      'none'
    )
  address, count, index = process
  assert address is not None
  assert count is not None
  assert index is not None
  host, _, port = address.rpartition(':')
  if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
    raise ValueError(
      f'--coordinator={address}: must be HOST:PORT, with a port from 1 to 65535'
    )
  if not 0 <= index < count:
    raise ValueError(
      f'--process_id={index}: must be from 0 to num_processes - 1 = {count - 1}'
    )
  return process


def meet(process: ProcessAddress, wait_s: float) -> None:
  """Returns when all processes are there.

  Args:
    process: checked.
    wait_s: seconds to wait for them.

  Raises:
    ValueError: on process 0 with who has not come; on the others if it does
      not answer, and with no text if it sends them away.
  """
  until = time.monotonic() + wait_s
  if process.process_id == 0:
    _receive(process, until, wait_s)
  else:
    _report(process, until, wait_s)


def excuse(process: ProcessAddress, reason: str) -> bool:
  """Tells process 0 why this one does not come.

  Args:
    process: checked; not process 0.
    reason: one line.

  Returns:
    Whether process 0 answered; it then says this reason, or one of its own.
  """
  until = time.monotonic() + _PATIENCE
  try:
    short = reason[:_LONGEST] + '...' * (len(reason) > _LONGEST)
    _report(process, until, _PATIENCE, short)
  except ValueError as error:
    return not str(error)  # Sent away, or there is nobody.
  return True


def call_off(process: ProcessAddress) -> None:
  """Sends away the others, as process 0, until all have come or time is up."""
  until = time.monotonic() + _PATIENCE
  port = int(str(process.coordinator).rpartition(':')[2])
  assert process.num_processes is not None
  missing = {*range(1, process.num_processes)}
  try:
    server = _server(process, port)
  except ValueError:
    return  # Whoever has the port answers them, or nobody does.
  with server:
    _dismiss(server, missing, until)


def _dismiss(server: socket.socket, missing: set[int], until: float) -> None:
  """Sends away each process that comes, until none is missing."""
  while missing:
    server.settimeout(max(until - time.monotonic(), 0.001))
    try:
      guest = server.accept()[0]
    except TimeoutError:
      return
    with guest:
      if hello := _hello(guest):
        missing.discard(hello.number)
        _answer([guest], go=False)


class _Hello(NamedTuple):
  """What each process tells process 0.

  Attributes:
    number: of the process.
    of: how many it thinks there are.
    host: its name.
    why: it does not come; '' where it does.
  """

  number: int
  of: int
  host: str
  why: str = ''


def _hello(guest: socket.socket) -> _Hello | None:
  """None of who is not one of ours."""
  said = _read(guest, _PROMPT)
  if said is None or said.keys() != {*_Hello._fields}:
    return None
  hello = _Hello(**said)
  kinds = [type(value) for value in hello]
  return hello if kinds == [int, int, str, str] else None


def _receive(process: ProcessAddress, until: float, wait_s: float) -> None:
  """Waits for the others, and lets all go together."""
  port = int(str(process.coordinator).rpartition(':')[2])
  assert process.num_processes is not None
  there: dict[int, tuple[str, socket.socket]] = {}
  with contextlib.ExitStack() as stack:
    server = stack.enter_context(_server(process, port))
    try:
      while len(there) < process.num_processes - 1:
        server.settimeout(max(until - time.monotonic(), 0.001))
        try:
          guest = stack.enter_context(server.accept()[0])
        except TimeoutError:
          raise ValueError(_missing(process, there, wait_s)) from None
        hello = _hello(guest)
        if hello is None:
          continue
        index, count, host, why = hello
        if index in there and not _has_left(there[index][1]):
          raise ValueError(
            f'--process_id={index}: is that of two processes, on '
            f'{there[index][0]} and {host}'
          )
        there[index] = host, guest
        if why:
          raise ValueError(f'process {index} on {host}: {why}')
        if count != process.num_processes or index == 0:
          raise ValueError(
            f'--num_processes={process.num_processes}: a process on {host} '
            f'says that it is process {index} of {count}'
          )
    except ValueError:
      _answer([guest for _, guest in there.values()], go=False)
      missing = {*range(1, process.num_processes)} - there.keys()
      _dismiss(server, missing, min(until, time.monotonic() + _PATIENCE))
      raise
    _answer([guest for _, guest in there.values()], go=True)


def _has_left(guest: socket.socket) -> bool:
  """Whether it has closed its end: its process has died, or began again."""
  guest.setblocking(False)
  try:
    return guest.recv(1, socket.MSG_PEEK) == b''
  except BlockingIOError:
    return False
  except OSError:
    return True
  finally:
    guest.setblocking(True)


def _server(process: ProcessAddress, port: int) -> socket.socket:
  dual = socket.has_dualstack_ipv6()
  family = socket.AF_INET6 if dual else socket.AF_INET
  try:
    return socket.create_server(
      ('', port), family=family, dualstack_ipv6=dual, backlog=1024
    )
  except OSError as error:
    raise ValueError(
      f'--coordinator={process.coordinator}: its port cannot be opened here '
      f'({error.strerror})'
    ) from None


def _missing(
  process: ProcessAddress,
  there: dict[int, tuple[str, socket.socket]],
  wait_s: float,
) -> str:
  assert process.num_processes is not None
  missing = [i for i in range(1, process.num_processes) if i not in there]
  plural = 'es' if len(missing) > 1 else ''
  named = ', '.join(map(str, missing[:8])) + ', ...' * (len(missing) > 8)
  return (
    f'--wait_s={wait_s:g}: process{plural} {named} of {process.num_processes} '
    f'did not come to {process.coordinator}'
  )


def _answer(guests: Iterable[socket.socket], *, go: bool) -> None:
  for guest in guests:
    with contextlib.suppress(OSError):
      guest.sendall(json.dumps({'go': go}).encode() + b'\n')


def _report(
  process: ProcessAddress, until: float, wait_s: float, why: str = ''
) -> None:
  """Tells process 0 who this is, or why it does not come, and waits to go."""
  host, _, port = str(process.coordinator).rpartition(':')
  while True:
    try:
      guest = socket.create_connection((host.strip('[]'), int(port)), _PROMPT)
      break
    except OSError as error:
      if time.monotonic() > until:
        raise ValueError(
          f'--coordinator={process.coordinator}: does not answer after '
          f'{wait_s:g} s ({error.strerror or error})'
        ) from None
      time.sleep(0.2)
  index, count = process.process_id, process.num_processes
  assert index is not None
  assert count is not None
  hello = _Hello(index, count, platform.node(), why)._asdict()
  with guest:
    with contextlib.suppress(OSError):
      guest.sendall(json.dumps(hello).encode() + b'\n')
    # Process 0 may have come after this one, and waits as long itself.
    answer = _read(guest, wait_s + _PROMPT)
  if answer is None:
    raise ValueError(
      f'--coordinator={process.coordinator}: answers and then ends; see what '
      'process 0 says'
    )
  if not answer['go']:
    raise ValueError  # Process 0 says why.


def _read(guest: socket.socket, seconds: float) -> dict[str, Any] | None:
  """A line of what this protocol sends, or None."""
  guest.settimeout(seconds)
  try:
    with guest.makefile('rb') as file:
      message = json.loads(file.readline(10_000))
  except (OSError, ValueError, RecursionError):
    return None
  return message if isinstance(message, dict) else None
