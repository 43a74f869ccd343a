"""`claude-proxy` and `python -m claude_proxy`: the way in."""

import os
import resource


def main() -> None:
    """Runs the command line."""
    # Before aiohttp is imported, which makes its TLS contexts then: they would write every session's keys there.
    os.environ.pop("SSLKEYLOGFILE", None)
    # Daemon and commands alike hold logins and keys: none of them is to be written to disk when one crashes.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    from claude_proxy.cli import main as command

    command(prog_name="claude-proxy")


if __name__ == "__main__":
    main()
