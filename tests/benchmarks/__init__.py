"""Tests of the benchmark's own parts: what must be right for its figures to mean anything."""
