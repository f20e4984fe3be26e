"""A trace of some steps, and the names in it."""

import pathlib

import pytest

from gan_jax.config import fields as configs
from gan_jax.engine import program
from gan_jax.networks import mlp
from gan_jax.run import profile, train


def test_a_run_is_traced_and_its_numbers_stay(
  tiny: configs.Config,
  tmp_path: pathlib.Path,
  capsys: pytest.CaptureFixture[str],
):
  train.train(tiny, tmp_path / 'plain')
  train.train(tiny, tmp_path / 'traced', profile.Steps(5, 2))
  said = 'profile of the steps after 4 to 8 in '
  assert said in capsys.readouterr().out
  (trace,) = (tmp_path / 'traced' / 'profile').rglob('*.xplane.pb')
  assert b'chunk' in trace.read_bytes()
  rows = [tmp_path / name / 'metrics.jsonl' for name in ('plain', 'traced')]
  assert rows[0].read_bytes() == rows[1].read_bytes()


def test_the_parts_of_a_step_have_names(tiny: configs.Config):
  tiny.data.name = 'digits'
  tiny.gen.latent_dim = 4
  tiny.gen.net = mlp.GenSettings(width=8, depth=1)
  tiny.disc.net = mlp.DiscSettings(width=8, depth=1)
  tiny.penalties.r1.weight = 1.0
  tiny.augment.policy, tiny.augment.p = 'translation', 1.0
  game = program.open_game(tiny)
  args = game.start(), game.hyper, game.source.chunk(0, 4), game.keys
  text = program.make_chunk(game, 4).lower(*args).as_text(debug_info=True)
  for name in (
    'disc_update', 'gen_update', 'penalty_r1', 'augmentation', 'data', 'average'
  ):  # fmt: skip
    assert f'{name}/' in text or f'({name})' in text, name


def test_steps_that_cannot_be_traced(
  tiny: configs.Config, tmp_path: pathlib.Path
):
  assert profile.parse(None) is None
  assert profile.parse('1000:100') == (1000, 100)
  for text in ('5', '5:0', '5:-1', 'a:b', '1:2:3'):
    with pytest.raises(ValueError, match=f'--profile={text}: must be FIRST:CO'):
      profile.parse(text)
  with pytest.raises(
    ValueError, match='--profile=12:1: the run ends at step 1'
  ):
    train.train(tiny, tmp_path / 'a', profile.Steps(12, 1))
  assert not (tmp_path / 'a').exists()
  traced = profile.Profile(tmp_path, profile.Steps(4, 4), 12)
  traced.check(7)
  with pytest.raises(ValueError, match='--profile=4:4: the run is at step 8 a'):
    traced.check(8)
  with pytest.raises(ValueError, match='--profile=8:9: the run is at step 12 '):
    profile.Profile(tmp_path, profile.Steps(8, 9), 12).check(12)
