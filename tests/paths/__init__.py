"""Whole journeys over real sockets, named for what happens."""
