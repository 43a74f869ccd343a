"""Tests of the configuration: read once, checked whole."""
