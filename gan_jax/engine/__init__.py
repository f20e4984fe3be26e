"""A game as a compiled program, on the devices there are."""
