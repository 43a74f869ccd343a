"""What an upstream is called with, and who supplies it."""
