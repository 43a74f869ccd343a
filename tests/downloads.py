"""What an installation in a test takes of the developer's own environment: pip's cache, and the way to the network."""

import os
import subprocess
import sys

_NAMES = ("HTTPS_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR", "SSL_CERT_FILE")


def downloading() -> dict[str, str]:
    """Variables for a process that installs, beside those of its own."""
    asked = [sys.executable, "-m", "pip", "cache", "dir"]
    cache = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=60).stdout.strip()
    own = {name: text for name, text in os.environ.items() if name.startswith("PIP_") or name.upper() in _NAMES}
    return {"PIP_CACHE_DIR": cache, **own}
