"""The tests of the credentials room: who supplies what an upstream is called with."""
