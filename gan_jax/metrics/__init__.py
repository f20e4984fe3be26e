"""How well a generator does: one file a metric, pure functions over arrays."""
