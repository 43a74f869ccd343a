"""`claude-proxy` run as a user runs it: a process of its own, with that user's environment and nothing else."""

import os
import sys

from tests.toggle.running_it import REPOSITORY, Ran, run_program
from tests.toggle.user import User


async def claude_proxy(user: User, *arguments: str, cwd: str = "", **environment: str) -> Ran:
    """Every warning of Python's is an error, and there is no keychain."""
    return await run_program(user, sys.executable, "-m", "claude_proxy", *arguments, cwd=cwd, **environment)


def on_this_path(user: User) -> str:
    """A PATH for shells of the user's, on which `claude-proxy` is this one."""
    directory = user.home / "bin"
    directory.mkdir(exist_ok=True)
    program = directory / "claude-proxy"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={REPOSITORY} exec {sys.executable} -m claude_proxy "$@"\n')
    program.chmod(0o755)
    return f"{directory}:{os.environ['PATH']}"
