"""Other proxies of this field, from PyPI or npm: what is installed for each, and how it is started.

A peer is installed once, into the user's cache, with the ordinary clients of the two registries: a version
that was looked at.
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
START_SECONDS = 60.0  # some read a thousand modules first


@dataclass(frozen=True)
class Peer:
    """`command` and the texts of `files` may name {port}, {upstream} and {home}."""

    command: Sequence[str]
    pypi: Sequence[str] = ()
    npm: Sequence[str] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)  # of its environment: what keeps it from calling home

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
        running = place.start(name, [str(programs / program), *rest], self.variables)
        running.accepts(port, START_SECONDS)
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
                pip = [str(programs / "python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
                _run([*pip, *self.pypi], name)
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
        pypi=["mitmproxy==11.0.2"],  # the last for Python 3.11
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
        # This version and no other without a look: 1.82.7, 1.82.8 and 1.107.0 were published by intruders.
        # Wheels only: nothing runs while they are installed.
        pypi=["--only-binary=:all:", "litellm[proxy]==1.106.4"],
        files={
            "config.yaml": "model_list:\n"
            "  - model_name: '*'\n"
            "    litellm_params: { model: 'anthropic/*', api_base: '{upstream}', api_key: sk-ant-FAKE }\n"
            # No key of its own to look at, which would be more work. The client's headers, as LiteLLM's own
            # documentation has it for Claude Code with a subscription: one tells the upstream what to answer.
            "general_settings:\n"
            "  dangerously_permit_weak_or_unset_master_key: true\n"
            "  forward_client_headers_to_llm_api: true\n"
        },
        variables={
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
            "LITELLM_LOCAL_AUTOROUTER_PRESETS": "True",
            "LITELLM_LOCAL_BLOG_POSTS": "True",
            "LITELLM_LOCAL_POLICY_TEMPLATES": "True",
        },
        command=[
            "litellm",
            "--config",
            "{home}/config.yaml",
            "--host",
            "127.0.0.1",
            "--port",
            "{port}",
            "--telemetry",
            "False",
        ],
    ),
}
