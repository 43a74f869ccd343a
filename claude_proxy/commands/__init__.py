"""The commands that have more to them than one call: status, keys, login."""
