"""The panels of a notebook, one a module."""
