"""What a researcher runs: thin programs over the library."""
