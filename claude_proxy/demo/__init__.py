"""The demo: the real daemon before a stand-in of the APIs, to be looked at without an account or a network."""
