"""What a run shows: figures, charts and pictures."""
