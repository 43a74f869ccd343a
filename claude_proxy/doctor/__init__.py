"""The doctor: walks the chain from this command to the upstreams, and names its first break with what mends it."""
