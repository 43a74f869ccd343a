"""The line that Claude Code shows at the bottom of its screen: what it does not know itself, within 60 ms."""
