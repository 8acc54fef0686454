"""The commands, one per module; each module defines ``COMMAND``."""
