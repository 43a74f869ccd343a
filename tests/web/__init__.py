"""Tests of the face: HTTP in, HTTP out."""
