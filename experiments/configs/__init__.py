"""One file an experiment: `get_config()` returns a `fields.Config`.

A file with several architectures or games has `ARGUMENTS`, by name a function
that sets one up; `get_config(argument)` takes such a name, as does
--config=FILE:NAME.
"""
