"""Spectral normalisation against PyTorch's, and where its vectors move."""

import pathlib

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import types
from gan_jax.networks import adapter, conditional, layers, spectral

KEY = jax.random.key(0)
