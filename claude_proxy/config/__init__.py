"""The configuration: YAML and environment, read once, checked whole."""
