"""Those who watch and never change: log, metrics, and what is left of the plan."""
