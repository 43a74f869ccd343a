"""How upstreams speak, and how each is made to sound like Anthropic."""
