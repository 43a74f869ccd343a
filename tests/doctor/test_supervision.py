"""The service's program gone or without its Python, and a daemon beside the service."""

import pytest

from claude_proxy import __version__
from tests.doctor.conftest import House
from tests.doctor.patient import Patient, assert_well, broken, finding, mended
from tests.service.programs import Programs, systemd_says

pytestmark = pytest.mark.asyncio(loop_scope="package")


@pytest.mark.parametrize("program", ["", "#!/gone/python3\n", "#!/bin/sh\nexit 3\n"], ids=["gone", "no Python", "ends"])
async def test_a_service_whose_program_does_not_run(routed: Patient, house: House, program: str) -> None:
    programs = Programs(routed.home)
    programs.put("systemctl", systemd_says(house.daemon.process.pid))
    programs.put("loginctl", "echo yes")
    routed.env["PATH"] = programs.environment()["PATH"]
    starts = routed.home / "old" / "claude-proxy"
    if program:
        routed.write(starts, program, 0o700)
    routed.write(routed.home / ".config/systemd/user/claude-proxy.service", f"[Service]\nExecStart={starts} serve\n")
    found = await broken(routed, "service.program")
    assert str(starts) in found["says"]
    assert found["command"].endswith("claude-proxy service install")
    await mended(routed, found)


async def test_a_daemon_beside_the_service(routed: Patient, house: House) -> None:
    programs = Programs(routed.home)
    programs.put("systemctl", systemd_says(0, "inactive"))
    programs.put("claude-proxy", f"echo claude-proxy, version {__version__}")
    routed.env["PATH"] = programs.environment()["PATH"]
    program = programs.directory / "claude-proxy"
    unit = routed.home / ".config/systemd/user/claude-proxy.service"
    routed.write(unit, f"[Service]\nExecStart={program} serve\n")
    found = await broken(routed, "service.manager", "warn")
    assert found["says"].startswith(f"process {house.daemon.process.pid} answers, and is not the service")
    assert found["command"].startswith(f"kill {house.daemon.process.pid} && ")
    programs.put("systemctl", systemd_says(house.daemon.process.pid))
    report = await routed.ask()
    assert_well(report)
    assert finding(report, "service.manager")["says"] == "the service is active (running): serving"


async def test_a_manager_that_does_not_answer(routed: Patient) -> None:
    programs = Programs(routed.home)
    programs.put("systemctl", "echo 'Failed to connect to bus' >&2; exit 1")
    programs.put("claude-proxy", f"echo claude-proxy, version {__version__}")
    routed.env["PATH"] = programs.environment()["PATH"]
    unit = routed.home / ".config/systemd/user/claude-proxy.service"
    routed.write(unit, f"[Service]\nExecStart={programs.directory}/claude-proxy serve\n")
    found = await broken(routed, "service.manager", "warn")
    assert "Failed to connect to bus" in found["says"]
    assert found["command"].endswith("claude-proxy serve")
