"""Tests of the wire room: bytes in, bytes out."""
