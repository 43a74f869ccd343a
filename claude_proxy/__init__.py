"""A local daemon between a developer's own Claude Code and the model APIs."""

__version__ = "0.1.0"
