"""Small steps are compiled without YNN, large ones with it."""

import jax
import jax.numpy as jnp
import pytest

from gan_jax import compiler


@pytest.mark.parametrize(('width', 'ynn'), [(128, False), (2048, True)])
def test_the_size_of_a_step_decides(width: int, ynn: bool):
  """However many steps there are in the loop."""

  def chunk(a: jax.Array, b: jax.Array) -> jax.Array:
    return jax.lax.scan(lambda a, _: (a @ b, None), a, None, length=300)[0]

  a = jax.ShapeDtypeStruct((256, width), jnp.float32)
  b = jax.ShapeDtypeStruct((width, width), jnp.float32)
  compiled = compiler.compile(jax.jit(chunk).lower(a, b))
  assert ('ynn_fusion' in compiled.as_text()) == ynn
