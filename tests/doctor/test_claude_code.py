"""What Claude Code is told: broken at each place, named first, and well again by what is named."""

import json
from pathlib import Path

import pytest

from tests.doctor.patient import Patient, assert_well, broken, mended

pytestmark = pytest.mark.asyncio(loop_scope="package")

KEY = "sk-ant-api03-FAKE-key-in-the-way"
GATEWAY = "https://gateway.example/anthropic"


@pytest.mark.parametrize("name", ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"])
async def test_a_key_in_the_shell(routed: Patient, name: str) -> None:
    routed.env[name] = KEY
    found = await broken(routed, "claude_code.replaced_login", "warn")
    assert found["command"] == f"unset {name}"
    assert "is set in this shell" in found["says"]
    await mended(routed, found)


async def test_a_key_in_the_settings(routed: Patient) -> None:
    before = json.loads(routed.settings.read_text())
    routed.write(routed.settings, json.dumps({"env": {**before["env"], "ANTHROPIC_API_KEY": KEY}}))
    found = await broken(routed, "claude_code.replaced_login", "warn")
    assert found["advice"] == "remove ANTHROPIC_API_KEY there"
    assert "~/.claude/settings.json" in found["says"]
    routed.write(routed.settings, json.dumps(before))
    assert_well(await routed.ask())


async def test_a_switch_to_another_provider(routed: Patient) -> None:
    routed.env["CLAUDE_CODE_USE_BEDROCK"] = "1"
    await mended(routed, await broken(routed, "claude_code.replaced_login"))


async def test_another_gateway_in_the_settings(patient: Patient) -> None:
    patient.write(patient.settings, json.dumps({"env": {"ANTHROPIC_BASE_URL": GATEWAY}}))
    found = await broken(patient, "claude_code.gateway")
    assert GATEWAY in found["says"]
    assert found["command"].endswith("claude-proxy enable --take-over")
    await mended(patient, found)


async def test_another_gateway_in_the_shell(patient: Patient) -> None:
    patient.env["ANTHROPIC_BASE_URL"] = GATEWAY
    found = await broken(patient, "claude_code.gateway")
    assert found["command"].endswith("claude-proxy enable")
    await mended(patient, found)


async def test_a_project_s_settings_that_win(routed: Patient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = routed.write(
        tmp_path / "project/.claude/settings.local.json", json.dumps({"env": {"ANTHROPIC_BASE_URL": GATEWAY}})
    )
    monkeypatch.chdir(tmp_path / "project")
    found = await broken(routed, "claude_code.gateway")
    assert str(project) in found["says"]
    project.write_text("{}")
    assert_well(await routed.ask())


async def test_settings_that_are_no_json(routed: Patient) -> None:
    text = routed.settings.read_text()
    routed.write(routed.settings, text.replace("{", "{,", 1))
    found = await broken(routed, "claude_code.settings")
    assert f"{routed.settings}:1:2: " in found["says"]
    routed.write(routed.settings, text)
    assert_well(await routed.ask())


async def test_a_stale_receipt(routed: Patient) -> None:
    routed.write(routed.settings, "{}")  # as if restored from a backup
    await mended(routed, await broken(routed, "claude_code.receipt", "warn"))
    assert "ANTHROPIC_BASE_URL" in routed.settings.read_text()


async def test_a_receipt_of_routing_that_is_off(routed: Patient) -> None:
    state = routed.home / ".local/state/claude-proxy"
    (state / "routing-on").unlink()
    routed.write(routed.settings, "{}")
    found = await broken(routed, "claude_code.receipt", "warn")
    await routed.mend(found["command"])
    assert not (state / "receipt.json").exists()


async def test_a_receipt_that_cannot_be_understood(routed: Patient) -> None:
    (routed.home / ".local/state/claude-proxy/receipt.json").write_text("{")
    await mended(routed, await broken(routed, "claude_code.receipt", "warn"))
