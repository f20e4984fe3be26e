"""The configuration of an experiment: its fields, its values, its checks."""
