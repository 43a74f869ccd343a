"""Tests of the service: its files, and the order in which its manager is asked."""
