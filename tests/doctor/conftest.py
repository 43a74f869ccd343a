"""One daemon before one upstream for all tests of the room, and a patient of their own for each."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from tests.doctor.patient import CREDENTIALS, ROUTES, Clock, Patient, upstreams
from tests.running import Daemon, running
from tests.stand_in import StandIn


@dataclass
class House:
    """A daemon that is well, and the upstream with its clock."""

    daemon: Daemon
    upstream: StandIn
    clock: Clock


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    clock = Clock()
    async with StandIn(clock.tells()) as upstream:
        config = {"upstreams": upstreams(upstream.url), "credentials": CREDENTIALS, "routes": ROUTES}
        async with running(tmp_path_factory.mktemp("daemon"), config) as daemon:
            yield House(daemon, upstream, clock)


@pytest.fixture
def patient(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_keyring: None) -> Patient:
    """Somebody whose configuration is that of the daemon; routing is off yet."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    monkeypatch.chdir(home)
    config = {"listen": {"port": house.daemon.port}, "upstreams": upstreams(house.upstream.url)}
    return Patient(home, config)


@pytest_asyncio.fixture(loop_scope="package")
async def routed(patient: Patient) -> Patient:
    """The same with routing on, and thus somebody with whom everything is well."""
    await patient.run("enable")
    return patient
