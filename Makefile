# make train   the one-dimensional figure, from nothing to runs/gaussian_1d
# make test    ruff, mypy and the tests
# make aot     the tests that compile for TPUs, with libtpu (700 MB) in .venv/aot
# make newest  two minutes of the tests with the newest versions of all packages
# make env     .venv alone

PYTHON ?= python3
RUN := .venv/bin/python
MADE := .venv/made
NEWEST := $(addprefix tests/test_, compiler.py threads.py fast_path.py \
  ops.py losses.py penalties.py steps.py state.py networks.py recorder.py \
  writers.py)

.PHONY: env train test aot newest

env: $(MADE)

$(MADE): requirements.txt setup.cfg pyproject.toml
	$(PYTHON) -m venv .venv
	$(RUN) -m pip install --quiet --requirement requirements.txt
	$(RUN) -m pip install --quiet --no-deps --editable .
	touch $@

train: $(MADE)
	$(RUN) -m experiments.train --workdir=runs/gaussian_1d \
	  --config=experiments/configs/gaussian_1d.py:smooth

test: $(MADE)
	$(RUN) -m ruff check gan_jax experiments tests
	$(RUN) -m ruff format --check gan_jax experiments tests
	$(RUN) -m mypy
	$(RUN) -m pytest --numprocesses=2

# Apart, for JAX tells of the TPU that it looks for wherever libtpu is at hand.
aot: $(MADE)
	$(RUN) -m pip install --quiet --no-deps --upgrade --target .venv/aot \
	  'libtpu==0.0.42.*'
	PYTHONPATH=.venv/aot $(RUN) -m pytest tests/test_ahead.py

# What a new JAX or XLA is most likely to change.
newest:
	$(PYTHON) -m venv .venv-newest
	.venv-newest/bin/python -m pip install --quiet --upgrade \
	  --upgrade-strategy eager --editable '.[test]'
	.venv-newest/bin/python -m pytest --numprocesses=2 $(NEWEST)
