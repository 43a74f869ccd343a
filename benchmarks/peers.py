"""Other proxies of this field, from PyPI or npm: what is installed for each, and how it is started.

A peer is installed once, into the user's cache, with the ordinary clients of the two registries.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.contestants import Place, Ready
from benchmarks.nginx import free_port
from benchmarks.processes import NotRunning

INSTALL_SECONDS = 600


@dataclass(frozen=True)
class Peer:
    """`command` and the texts of `files` may name {port}, {upstream} and {home}."""

    command: Sequence[str]
    pypi: Sequence[str] = ()
    npm: Sequence[str] = ()
    files: Mapping[str, str] = field(default_factory=dict)

    def ready(self, name: str, place: Place) -> Ready:
        """Installed and serving. Raises NotRunning."""
        programs = self._installed(name)
        home = place.directory / name
        home.mkdir(parents=True, exist_ok=True)
        port = free_port()
        words = {"port": str(port), "upstream": place.upstream, "home": str(home)}
        for path, text in self.files.items():
            (home / path).write_text(_filled(text, words))
        program, *rest = (_filled(word, words) for word in self.command)
        running = place.start(name, [str(programs / program), *rest])
        running.accepts(port)
        return Ready(name, f"http://127.0.0.1:{port}", running)

    def _installed(self, name: str) -> Path:
        """The directory of its programs."""
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "claude-proxy-benchmark" / name
        done = cache / "installed"
        programs = cache / ("bin" if self.pypi else "node_modules/.bin")
        if not done.exists():
            shutil.rmtree(cache, ignore_errors=True)
            cache.mkdir(parents=True)
            print(f"installing {name} into {cache}", file=sys.stderr)
            if self.pypi:
                _run([sys.executable, "-m", "venv", str(cache)], name)
                _run([str(programs / "python"), "-m", "pip", "install", "--quiet", *self.pypi], name)
            else:
                _run(["npm", "install", "--silent", "--prefix", str(cache), *self.npm], name)
            done.touch()
        return programs


def _filled(text: str, words: Mapping[str, str]) -> str:
    for name, value in words.items():
        text = text.replace("{" + name + "}", value)
    return text


def _run(command: Sequence[str], name: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=INSTALL_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotRunning(f"{name} cannot be installed: {error}") from error
    if done.returncode:
        raise NotRunning(f"{name} cannot be installed: {done.stderr.strip()[-500:]}")


PEERS: dict[str, Peer] = {
    "mitmproxy": Peer(
        pypi=["mitmproxy"],
        command=[
            "mitmdump",
            "-q",
            "--mode",
            "reverse:{upstream}",
            "--listen-port",
            "{port}",
            "--set",
            "stream_large_bodies=1",
        ],
    ),
    "litellm": Peer(
        pypi=["litellm[proxy]"],
        files={
            "config.yaml": "model_list:\n"
            "  - model_name: '*'\n"
            "    litellm_params: { model: 'anthropic/*', api_base: '{upstream}', api_key: sk-ant-FAKE }\n"
        },
        command=["litellm", "--config", "{home}/config.yaml", "--host", "127.0.0.1", "--port", "{port}"],
    ),
}
