"""Tests of `proxy-toggle`."""
