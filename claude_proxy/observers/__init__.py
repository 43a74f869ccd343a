"""Those who watch and never change: log and metrics."""
