"""The datasets that have a name, a module each. A new one is a new module here, whose loader `dataset` registers."""

__all__: list[str] = []
