"""The commands, one a module, each with its ``COMMAND``."""
