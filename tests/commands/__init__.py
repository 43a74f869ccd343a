"""Tests of the commands that have more to them than one call."""
