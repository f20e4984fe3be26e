"""Which library multiplies and convolves, by the size of the products."""

import threading

import jax
import jax.numpy as jnp
import pytest

from gan_jax.engine import compiler
from gan_jax.ops import cpu


@pytest.mark.parametrize(
  ('width', 'ynn'), [(32, True), (128, False), (2048, True)]
)
def test_the_size_of_the_products_decides(width: int, ynn: bool):
  """However many steps there are in the loop."""

  def chunk(a: jax.Array, b: jax.Array) -> jax.Array:
    return jax.lax.scan(lambda a, _: (a @ b, None), a, None, length=300)[0]

  a = jax.ShapeDtypeStruct((256, width), jnp.float32)
  b = jax.ShapeDtypeStruct((width, width), jnp.float32)
  compiled = compiler.compile(jax.jit(chunk), a, b)
  assert ('ynn_fusion' in compiled.as_text()) == ynn


def test_convolutions_are_left_to_eigen():
  def chunk(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return jax.lax.conv_general_dilated(
      x, kernel, (1, 1), 'SAME', dimension_numbers=('NHWC', 'HWIO', 'NHWC')
    )

  x = jax.ShapeDtypeStruct((64, 32, 32, 64), jnp.float32)
  kernel = jax.ShapeDtypeStruct((4, 4, 64, 64), jnp.float32)
  compiled = compiler.compile(jax.jit(chunk), x, kernel)
  assert 'ynn_fusion' not in compiled.as_text()


def test_stock_has_no_options():
  """Stock XLA gives YNN a product that we give Eigen."""
  a = jax.ShapeDtypeStruct((256, 128), jnp.float32)
  b = jax.ShapeDtypeStruct((128, 128), jnp.float32)
  with cpu.stock():
    compiled = compiler.compile(jax.jit(jnp.matmul), a, b)
  assert 'ynn_fusion' in compiled.as_text()


def test_this_xla_takes_every_option(
  capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
  """`compile` would go on without any of them."""
  monkeypatch.delenv('XLA_FLAGS')
  lowered = jax.jit(jnp.sin).lower(jnp.zeros(8))
  for options in (
    compiler._FOR_TINY_PRODUCTS,
    compiler._FOR_SMALL_PRODUCTS,
    compiler._FOR_LARGE_PRODUCTS,
    compiler._WIDELY,
  ):
    compiler._compile(lowered, options)
  assert not capsys.readouterr().err


def test_flags_go_before_options(
  capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
  lowered = jax.jit(jnp.sin).lower(jnp.zeros(8))
  options = {'xla_of_nobody': 1}
  monkeypatch.setenv('XLA_FLAGS', '--xla_of_nobody=2')
  compiler._compile(lowered, options)
  assert not capsys.readouterr().err
  # The name of another one does not count.
  monkeypatch.setenv('XLA_FLAGS', '--xla_of_nobody_either=2')
  compiler._compile(lowered, options)
  assert 'xla_of_nobody=1' in capsys.readouterr().err


def test_an_unknown_option_is_dropped_alone(
  capsys: pytest.CaptureFixture[str],
):
  """The others hold, and it is said once."""
  a = jnp.ones((256, 128))
  lowered = jax.jit(jnp.dot).lower(a, a.T)
  options = {**compiler._FOR_SMALL_PRODUCTS, 'xla_no_such_option': 1}
  for _ in range(2):
    compiled = compiler._compile(lowered, options)
    assert 'ynn_fusion' not in compiled.as_text()
  (line,) = capsys.readouterr().err.splitlines()
  assert 'xla_no_such_option=1' in line
  # Without the option that is known, YNN has the product.
  assert 'ynn_fusion' in lowered.compile().as_text()


def test_what_fails_for_another_reason_is_raised(
  capsys: pytest.CaptureFixture[str],
):
  call = jax.ffi.ffi_call('nobody_wrote_this', jax.ShapeDtypeStruct((), int))
  with pytest.raises(jax.errors.JaxRuntimeError, match='nobody_wrote_this'):
    compiler._compile(jax.jit(call).lower(), compiler._FOR_SMALL_PRODUCTS)
  assert not capsys.readouterr().err


def test_a_long_compilation_is_told_of():
  told = threading.Event()
  said = []

  def say(line: str) -> None:
    said.append(line)
    told.set()

  with compiler.told_if_long(say, seconds=0.01):
    assert told.wait(timeout=60)
  assert said == ['compiling the steps, for 0 s so far']
  with compiler.told_if_long(say, seconds=3600):
    pass
  assert len(said) == 1
