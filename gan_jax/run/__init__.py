"""The loop, and what lives beside it."""
