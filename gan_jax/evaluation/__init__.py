"""A generator measured, and by which protocol."""
