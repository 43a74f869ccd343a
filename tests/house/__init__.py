"""Tests of the house itself: its floors, its names, its documents."""
