"""Whether some Claude Code is renewing the stored login at this moment, by the lock that it holds meanwhile.

Watched with strace (2.1.197 and 2.1.332, Linux): it makes the directory `.oauth_refresh.lock` beside its login's
file before it asks for new tokens, touches it every five seconds, and removes it once they are stored. One that
has not been touched for ten seconds belongs to a client that died; others then take it over.
"""

import time
from collections.abc import Callable, Mapping

from claude_proxy.credentials.claude_program import login_directory

STALE = 10.0  # seconds


class RenewalLock:
    """Looks at the lock; never makes or removes it. `clock` is Unix time, as the file system's dates are."""

    def __init__(self, environment: Mapping[str, str], clock: Callable[[], float] = time.time) -> None:
        self.directory = login_directory(environment)
        self._path = self.directory / ".oauth_refresh.lock"
        self._clock = clock

    def held(self) -> bool:
        """Blocks as long as the file system does: for a thread."""
        try:
            touched = self._path.stat().st_mtime
        except OSError:
            return False
        return abs(self._clock() - touched) < STALE
