# make train   the one-dimensional figure, from nothing to runs/gaussian_1d
# make test    ruff, mypy and the tests
# make env     .venv alone

PYTHON ?= python3
RUN := .venv/bin/python
MADE := .venv/made

.PHONY: env train test

env: $(MADE)

$(MADE): requirements.txt setup.cfg pyproject.toml
	$(PYTHON) -m venv .venv
	$(RUN) -m pip install --quiet --requirement requirements.txt
	$(RUN) -m pip install --quiet --no-deps --editable .
	touch $@

train: $(MADE)
	$(RUN) -m experiments.train --workdir=runs/gaussian_1d \
	  --config=experiments/configs/gaussian_1d.py

test: $(MADE)
	$(RUN) -m ruff check gan_jax experiments tests
	$(RUN) -m ruff format --check gan_jax experiments tests
	$(RUN) -m mypy
	$(RUN) -m pytest --numprocesses=2
