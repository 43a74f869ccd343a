"""The configuration broken, and secrets that others may read: named first, and well again by what is named."""

import pytest

from tests.doctor.conftest import House
from tests.doctor.patient import CREDENTIALS, Patient, assert_well, broken, finding, mended

pytestmark = pytest.mark.asyncio(loop_scope="package")


async def test_a_broken_configuration(routed: Patient) -> None:
    text = routed.file.read_text()
    routed.write(routed.file, text + "retries: 5\n")
    found = await broken(routed, "configuration.valid")
    assert f"{routed.file}:{text.count(chr(10)) + 1}:1 retries: unknown setting; did you mean 'retry'?" in found["says"]
    assert "mend that line" in found["advice"]
    routed.write(routed.file, text)
    assert_well(await routed.ask())


async def test_a_secret_that_everybody_may_read(routed: Patient) -> None:
    keys = routed.home / ".local/share/claude-proxy/keys"
    key = routed.write(keys / "kimi", "FAKE-key", 0o644)
    found = await broken(routed, "configuration.secrets")
    assert found["command"] == f"chmod 600 {key}"
    await mended(routed, found)


async def test_a_login_that_everybody_may_read(routed: Patient) -> None:
    login = routed.write(routed.home / ".claude/.credentials.json", "{}", 0o640)
    found = await broken(routed, "configuration.secrets", "warn")
    assert found["command"] == f"chmod 600 {login}"
    await mended(routed, found)


async def test_a_key_in_a_file_that_is_named_and_a_token_that_others_may_read(routed: Patient) -> None:
    key, token = routed.home / "key of kimi", routed.home / "token"
    routed.write(key, "FAKE-key", 0o640)
    routed.write(token, "FAKE-token", 0o604)
    local = {"sources": [f"file:{key}"]}
    routed.configure(credentials={**CREDENTIALS, "unused": local}, access={"token": {"file": str(token)}})
    found = await broken(routed, "configuration.secrets")
    assert found["says"].endswith("(mode 640), so the daemon does not use it")
    await routed.mend(found["command"])
    found = await broken(routed, "configuration.secrets", "warn")
    assert found["command"] == f"chmod 600 {token}"
    await mended(routed, found)


@pytest.mark.parametrize(
    ("access", "env", "mark", "says"),
    [
        ({}, {"AUTH_TOKEN": "FAKE-token"}, "ok", "other machines reach 0.0.0.0, with the access token"),
        (
            {"trust_proxy": True},
            {},
            "warn",
            "whoever reaches 0.0.0.0 directly needs no token, as access.trust_proxy says",
        ),
    ],
)
async def test_an_address_that_others_reach(
    patient: Patient, house: House, access: dict[str, bool], env: dict[str, str], mark: str, says: str
) -> None:
    patient.env |= env
    patient.configure(access=access, listen={"host": "0.0.0.0", "port": house.daemon.port})
    found = finding(await patient.ask(), "configuration.reach")
    assert (found["mark"], found["says"]) == (mark, says)
