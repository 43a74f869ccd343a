"""The tests of the observers room: those who watch and never change."""
