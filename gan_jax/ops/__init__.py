"""How arithmetic is made fast on a CPU, each beside its plain reference."""
