"""What the daemon costs beside a direct connection, nginx and plain aiohttp: see README.md."""
