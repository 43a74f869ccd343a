"""`claude-proxy` and `python -m claude_proxy`: the way in."""

import gc
import os
import resource
import sys

_FAULTY = 78  # daemon.EXIT_CONFIG, which must not be imported yet

# The command that becomes another program, which is to find what it would have found without us. It asks /health,
# holds no secret and imports no aiohttp.
_BECOMES_ANOTHER = "run"


def main() -> None:
    """Runs the command line."""
    # Imports make much and leave nothing behind: the collector would look for that in vain, 100 times with its
    # defaults. The daemon, which goes on, sets another threshold when it serves.
    gc.set_threshold(200_000, 20, 20)
    if sys.argv[1:2] != [_BECOMES_ANOTHER]:
        _keep_secrets_off_the_disk()
    if sys.argv[1:2] == ["statusline"] and sys.argv[2:3] not in (["-h"], ["--help"]):
        from claude_proxy.statusline.command import run

        run(sys.argv[2:])
        return
    from claude_proxy.cli import main as command

    try:
        command(prog_name="claude-proxy")
    except SystemExit as end:
        # launchd starts again whatever fails, every ten seconds; with its KeepAlive only 0 means that it need not.
        if end.code == _FAULTY and os.environ.get("XPC_SERVICE_NAME") == "claude-proxy":
            sys.exit(0)
        raise


def _keep_secrets_off_the_disk() -> None:
    # Before aiohttp is imported, which makes its TLS contexts then: they would write every session's keys there.
    os.environ.pop("SSLKEYLOGFILE", None)
    # Daemon and commands alike hold logins and keys: none of them is to be written to disk when one crashes.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main()
