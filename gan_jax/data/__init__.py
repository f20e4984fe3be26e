"""What gives batches: every source is a function of (seed, step)."""
