"""A program run for its version: that a file is there does not say that its interpreter is."""

import re
import subprocess

_PATIENCE = 20.0  # seconds for `--version`


class DoesNotRun(Exception):
    """It cannot be run, or does not say its version; the text says why."""


def version_of(program: str) -> str:
    """The version that a `claude-proxy` says it has. Raises DoesNotRun."""
    try:
        done = subprocess.run(  # noqa: S603 - a program that the user or the service starts anyway, no shell
            [program, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
            check=False,
        )
    except OSError as error:
        # Of a script it also says so where it is the interpreter that is missing.
        raise DoesNotRun(f"it cannot be run: {error.strerror}; it or its Python is gone") from None
    except subprocess.TimeoutExpired:
        raise DoesNotRun(f"it does not answer within {_PATIENCE:g} s") from None
    found = re.search(r"version (\S+)", done.stdout)
    if done.returncode or found is None:
        last = done.stderr.strip().splitlines()[-1:] or ["without a word"]
        raise DoesNotRun(f"it ends with exit code {done.returncode}: {last[0][:200]}")
    return found[1]
