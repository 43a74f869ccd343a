"""The program that PATH leads to, where it is another than the one that runs."""

import os

import pytest

from claude_proxy import __version__
from tests.doctor.patient import Patient, assert_well, broken, finding
from tests.service.programs import Programs

pytestmark = pytest.mark.asyncio(loop_scope="package")


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("echo claude-proxy, version 0.0.1", "has version 0.0.1, this one"),
        ("exit 127", "it ends with exit code 127"),
    ],
)
async def test_another_program_on_path(routed: Patient, script: str, says: str) -> None:
    programs = Programs(routed.home)
    programs.put("claude-proxy", script)
    routed.env["PATH"] = programs.environment()["PATH"]
    found = await broken(routed, "installation.program", "warn")
    assert f"{programs.directory}/claude-proxy" in found["says"]
    assert says in found["says"]
    assert found["advice"].startswith("remove it, or put the directory of ")
    (programs.directory / "claude-proxy").unlink()
    assert_well(await routed.ask())


async def test_another_one_of_the_same_version_is_no_matter(routed: Patient) -> None:
    programs = Programs(routed.home)
    programs.put("claude-proxy", f"echo claude-proxy, version {__version__}")
    routed.env["PATH"] = f"{programs.directory}{os.pathsep}{routed.environment['PATH']}"
    report = await routed.ask()
    assert_well(report)
    assert finding(report, "installation.program")["says"].endswith(f"also at {programs.directory}/claude-proxy")
