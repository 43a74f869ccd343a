"""Tests of the dialects: each upstream's bytes, made to sound like Anthropic's."""
