"""Tests of the status line."""
