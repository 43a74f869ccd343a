"""A credential from an environment variable."""

import pytest

from claude_proxy.credentials.environment import EnvironmentSource
from tests.credentials.fakes import KEY, key_of


async def test_the_variable_is_the_credential() -> None:
    source = EnvironmentSource("THE_KEY", {"THE_KEY": f" {KEY}\n"}, key_of)
    found = await source.read()
    assert found is not None
    assert (found.secret, found.source) == (KEY, "env:THE_KEY")
    assert source.present() is True


@pytest.mark.parametrize("environment", [{}, {"THE_KEY": ""}, {"THE_KEY": "  \n"}], ids=["unset", "empty", "blank"])
async def test_a_variable_without_a_text_holds_none(environment: dict[str, str]) -> None:
    source = EnvironmentSource("THE_KEY", environment, key_of)
    assert source.present() is False
    assert await source.read() is None


async def test_it_is_looked_up_each_time_and_the_looks_are_counted() -> None:
    environment: dict[str, str] = {}
    source = EnvironmentSource("THE_KEY", environment, key_of)
    assert await source.read() is None
    environment["THE_KEY"] = KEY
    assert await source.read() is not None
    assert source.reads == 2
