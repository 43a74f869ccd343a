"""Other proxies in the benchmark: of a version that was looked at, told where to listen, or a note why not."""

import json
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from benchmarks.contestants import Place
from benchmarks.peers import PEERS, Peer
from benchmarks.processes import NotRunning

UPSTREAM = "http://127.0.0.1:9"
# What a registry would have installed: it writes down what it was given, and listens.
PROGRAM = f"""#!{sys.executable}
import json, os, socket, sys
port, config = sys.argv[1:]
with open("given", "w") as given:
    json.dump({{"config": open(config).read(), "calls_home": os.environ.get("CALLS_HOME")}}, given)
with socket.create_server(("127.0.0.1", int(port))) as listening:
    while True:
        listening.accept()
"""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with ExitStack() as stack:
        yield Place(tmp_path / "run", UPSTREAM, None, stack)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache, still empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "claude-proxy-benchmark"


def install(directory: Path) -> None:
    program = directory / "bin" / "relay"
    program.parent.mkdir(parents=True)
    program.write_text(PROGRAM)
    program.chmod(0o700)
    (directory / "installed").touch()


def test_a_peer_is_given_its_port_its_upstream_and_its_variables(place: Place, cache: Path) -> None:
    install(cache / "relay")
    peer = Peer(
        pypi=["relay==1.0"],
        command=["relay", "{port}", "{home}/relay.conf"],
        files={"relay.conf": "to {upstream}"},
        variables={"CALLS_HOME": "no"},
    )
    ready = peer.ready("relay", place)
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", ready.url)
    given = json.loads((place.directory / "relay" / "given").read_text())
    assert given == {"config": f"to {UPSTREAM}", "calls_home": "no"}


def test_a_peer_that_ends_says_its_last_words(place: Place, cache: Path) -> None:
    install(cache / "relay")
    peer = Peer(pypi=["relay==1.0"], command=["relay", "{port}", "{home}/nowhere"])
    with pytest.raises(NotRunning, match=r"relay .*nowhere"):
        peer.ready("relay", place)


def test_a_peer_that_cannot_be_installed_does_not_count_as_installed(
    place: Place, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # where no npm is
    with pytest.raises(NotRunning, match=r"relay cannot be installed: .*npm"):
        Peer(npm=["relay@1.0.0"], command=["relay"]).ready("relay", place)
    assert not (cache / "relay" / "installed").exists()


@pytest.mark.parametrize("name", PEERS)
def test_nothing_is_installed_but_a_version_that_was_looked_at(name: str) -> None:
    peer = PEERS[name]
    assert peer.pypi or peer.npm
    assert all("==" in package for package in peer.pypi if not package.startswith("-"))
    assert all("@" in package[1:] for package in peer.npm)
