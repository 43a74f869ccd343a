"""How long the light commands take, beside a running daemon: wall and CPU time from start to end, the median of many.

python -m benchmarks.commands [--runs 20] [--repository PATH]
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.claude_code import fresh_home
from tests.house.source import REPOSITORY
from tests.running import clean_environment, running

PROXY = "from claude_proxy.__main__ import main; main()"
TOGGLE = "from claude_proxy.toggle.commands import main; main(prog_name='proxy-toggle')"
LIGHT = {
    "python -c pass": ("pass",),
    "claude-proxy --version": (PROXY, "--version"),
    "claude-proxy status": (PROXY, "status"),
    "claude-proxy paths": (PROXY, "paths"),
    "claude-proxy env": (PROXY, "env"),
    "claude-proxy run -- true": (PROXY, "run", "--", "true"),
    "claude-proxy --help": (PROXY, "--help"),
    "claude-proxy config show": (PROXY, "config", "show"),
    "proxy-toggle status": (TOGGLE, "status"),
    "claude-proxy statusline": (PROXY, "statusline"),
}
TARGETS = dict.fromkeys(LIGHT, 100.0) | {"claude-proxy statusline": 60.0}  # ms

# Where no request has needed MiniMax's key yet, `env`, `run` and `enable` look for it in the keychain: 100 ms more.
NO_KEYCHAIN = {"credentials": {"minimax": {"sources": ["env:HAIKU_PROVIDER_API_KEY"]}}}


def measure(command: tuple[str, ...], environment: dict[str, str], runs: int) -> tuple[float, float, int]:
    """Medians of wall and CPU time in ms, and the exit code. The first run is left out: it reads files from disk."""
    walls, cpus = [], []
    code = 0
    for number in range(runs + 1):
        begun = time.perf_counter()
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-P", "-c", *command],  # -P: not the package of where this is run
            environment,
            file_actions=[(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)],
        )
        _, status, used = os.wait4(pid, 0)
        if number:
            walls.append((time.perf_counter() - begun) * 1000)
            cpus.append((used.ru_utime + used.ru_stime) * 1000)
        code = os.waitstatus_to_exitcode(status)
    return statistics.median(walls), statistics.median(cpus), code


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--repository", type=Path, default=REPOSITORY, help="whose claude_proxy is measured")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory) / "home"
        fresh_home(home)
        async with running(home, NO_KEYCHAIN) as daemon:
            environment = clean_environment(home, {"PYTHONPATH": str(options.repository)})
            environment |= {"CLAUDE_PROXY_LISTEN__PORT": str(daemon.port)}
            del environment["PYTHONWARNINGS"]
            in_claude_code = {"ANTHROPIC_BASE_URL": daemon.url}  # whom the status line asks
            print(f"{'command':<28} {'wall ms':>8} {'CPU ms':>8} {'exit':>5}   median of {options.runs}")
            for name, command in LIGHT.items():
                variables = environment | (in_claude_code if "statusline" in command else {})
                wall, cpu, code = await asyncio.to_thread(measure, command, variables, options.runs)
                slow = f"   above {TARGETS[name]:.0f}" if wall > TARGETS[name] else ""
                print(f"{name:<28} {wall:8.0f} {cpu:8.0f} {code:>5}{slow}", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
