"""What the service is to be: which program, listening where, and how long it may take to stop; and its files' texts."""

import ipaddress
import math
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from claude_proxy.directories import PACKAGE

NAME = "claude-proxy"
"""Of the program, the units, the launch agent and its label."""

SPARE = 60
"""Seconds for which a manager waits beyond the daemon's own drain limit before it kills."""

DEFAULT_DRAIN = 32 * 60.0
_DEFAULT_PORT = 8082


class Unfit(Exception):
    """There is no service to be made of this; the text says why, and what to do."""


@dataclass(frozen=True)
class Plan:
    """`command` begins with the program's absolute path; `drain_timeout` in seconds."""

    command: tuple[str, ...]
    host: str = "127.0.0.1"
    port: int = _DEFAULT_PORT
    drain_timeout: float = DEFAULT_DRAIN

    @property
    def stop_timeout(self) -> int:
        return math.ceil(self.drain_timeout) + SPARE

    @property
    def url(self) -> str:
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"


def make_plan(host: str, port: int, drain_timeout: float, config: Path | None) -> Plan:
    """For the program that runs now. Raises Unfit."""
    address = "127.0.0.1" if host == "localhost" else host.strip("[]")
    try:
        ipaddress.ip_address(address)
    except ValueError:
        raise Unfit(f"listen.host is {host}: a service manager's socket needs an address, such as 127.0.0.1") from None
    if not port:
        raise Unfit("listen.port is 0, any free one: a service needs a port that stays, such as 8082")
    options = ("--config", str(config.absolute())) if config else ()
    return Plan((str(find_program()), "serve", *options), address, port, drain_timeout)


def find_program() -> Path:
    """Where `claude-proxy` lies, by the name that survives an upgrade: a link is not resolved. Raises Unfit."""
    started_as = shutil.which(sys.argv[0]) if Path(sys.argv[0]).name == NAME else None
    program = Path(started_as).absolute() if started_as else Path(sys.executable).parent / NAME
    if not os.access(program, os.X_OK):
        raise Unfit(f"{program} is not there: install claude-proxy into this Python, or start the command by its path")
    if not str(program).isprintable():
        raise Unfit(f"{str(program)!r} cannot be written into a service's file: install claude-proxy elsewhere")
    return program


def systemd_units(plan: Plan) -> dict[str, str]:
    """The texts of the units, by the names of their files."""
    program, *arguments = plan.command
    command = " ".join([_systemd_word(program), *(_systemd_word(word).replace("$", "$$") for word in arguments)])
    host = f"[{plan.host}]" if ":" in plan.host else plan.host
    values = {"PROGRAM": command, "STOP_TIMEOUT": str(plan.stop_timeout), "ADDRESS": f"{host}:{plan.port}"}
    return {name: _filled(name, values) for name in (f"{NAME}.service", f"{NAME}.socket")}


def _systemd_word(word: str) -> str:
    """As a unit's command line reads it back: systemd.syntax(7), systemd.unit(5) on specifiers."""
    word = word.replace("%", "%%").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{word}"' if set(word) & set(" \\\"';") else word


def launch_agent(plan: Plan, logs: Path | None) -> str:
    """The text of the launch agent; without `logs` its command looks after its output itself."""
    keys = ("StandardOutPath", "StandardErrorPath") if logs else ()
    log = escape(str(logs / f"{NAME}.log")) if logs else ""
    values = {
        "ARGUMENTS": "\n".join(f"    <string>{escape(word)}</string>" for word in plan.command),
        "STOP_TIMEOUT": str(plan.stop_timeout),
        "LOGS": "\n".join(f"  <key>{key}</key><string>{log}</string>" for key in keys),
        "HOST": plan.host,
        "PORT": str(plan.port),
        "FAMILY": "IPv6" if ":" in plan.host else "IPv4",
    }
    return _filled(f"{NAME}.plist", values)


def _filled(name: str, values: dict[str, str]) -> str:
    text = (PACKAGE / "service/templates" / name).read_text("utf-8")
    lines = []
    for line in text.splitlines():
        for key, value in values.items():
            if f"@{key}@" in line:
                line = line.replace(f"@{key}@", value)  # noqa: PLW2901 - a line has one mark at most
                break
        lines.append(line)
    return "\n".join(line for line in lines if line) + "\n" if name.endswith(".plist") else "\n".join(lines) + "\n"
