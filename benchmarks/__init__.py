"""What the daemon costs beside a direct connection, nginx and plain aiohttp, and what it keeps: see README.md."""
