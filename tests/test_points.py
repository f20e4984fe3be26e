"""The n-point game of Sun et al. 2020: closed forms against a D that moves."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.game import losses, points

STATES = list(itertools.product([0, 1, 2, None], repeat=3))


def least(loss: losses.GanLoss, state: tuple[int | None, ...]) -> float:
  """By gradient descent on D's logit at each place."""
  n = len(state)
  places = [i if i is not None else n + j for j, i in enumerate(state)]
  index = jnp.array(places)

  def cost(table: jax.Array) -> jax.Array:
    return loss.disc(real=table[:n], fake=table[index])

  def step(table: jax.Array, _: None) -> tuple[jax.Array, None]:
    return table - 2.0 * jax.grad(cost)(table), None

  table = jax.lax.scan(step, jnp.zeros(2 * n), None, length=3000)[0]
  return float(cost(table))


@pytest.mark.parametrize('state', STATES[::7])
def test_closed_forms_are_what_descent_finds(state: tuple[int | None, ...]):
  half = least(losses.NON_SATURATING, state) / 2
  assert points.separable_loss(state) == pytest.approx(half, abs=2e-3)
  paired = least(losses.RELATIVISTIC_PAIRED, state)
  assert points.paired_loss(state) == pytest.approx(paired, abs=2e-3)


def test_losses_of_two_points():
  """Collapsed, on the way, and at the data."""
  log2, log3 = np.log(2), np.log(3)
  ways = (0, 0), (0, None), (0, 1)
  separable = [points.separable_loss(way) for way in ways]
  assert separable == pytest.approx([0.75 * log3 - log2 / 2, log2 / 2, log2])
  paired = [points.paired_loss(way) for way in ways]
  assert paired == pytest.approx([log2 / 2, log2 / 2, log2])
  # The way of the point that is paired with the real one at collapse.
  ways = (0, 0), (None, 0), (1, 0)
  paired = [points.paired_loss(way) for way in ways]
  assert paired == pytest.approx([log2 / 2, 0, log2])


def test_the_relativistic_loss_never_falls_on_a_way_to_the_data():
  """Sun et al. 2020: no bad basin, from any of the states."""

  def neighbours(state: tuple[int | None, ...]) -> list[tuple[int | None, ...]]:
    return [
      (*state[:i], place, *state[i + 1 :])
      for i, old in enumerate(state)
      for place in ([None] if old is not None else range(3))
    ]

  def reaches(state: tuple[int | None, ...]) -> bool:
    seen, ahead = {state}, [state]
    while ahead:
      at = ahead.pop()
      if points.paired_loss(at) == pytest.approx(np.log(2)):
        return True
      for new in neighbours(at):
        rises = points.paired_loss(new) >= points.paired_loss(at) - 1e-9
        if rises and new not in seen:
          seen.add(new)
          ahead.append(new)
    return False

  assert all(reaches(state) for state in STATES)
