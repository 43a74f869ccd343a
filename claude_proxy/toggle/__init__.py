"""`proxy-toggle`: routing switched on in Claude Code's settings or in the shells, and off again to the byte."""
