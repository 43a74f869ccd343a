"""The tests of the upstreams room: which API is called, whether, and the call itself."""
