"""Anthropic's Messages protocol as bytes, headers and JSON: no I/O, no clock."""
