"""One file an experiment: `get_config()` returns a `gan_jax.config.Config`."""
