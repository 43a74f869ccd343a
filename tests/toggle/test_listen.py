"""Host and port out of the configuration say what the daemon itself would read there."""

from pathlib import Path

import pytest

from claude_proxy.config.load import load
from claude_proxy.toggle.listen import read_listen


@pytest.mark.parametrize("text", ["", "listen: { port: 9001 }\n", "listen: { host: localhost, port: 0 }\n"])
@pytest.mark.parametrize(
    "environment", [{}, {"PORT": "9002"}, {"SERVER_HOST": "[::1]"}, {"CLAUDE_PROXY_LISTEN": "{ port: 9004 }"}]
)
def test_the_daemon_reads_the_same(text: str, environment: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    settings = load(file, environment).listen
    host, port, _ = read_listen(file, environment, "127.0.0.1", 8082, required=False)
    assert (host, port) == (settings.host, settings.port)


def test_a_variable_that_cannot_be_read_is_told() -> None:
    environment = {"CLAUDE_PROXY_LISTEN__PORT": "{"}
    assert "CLAUDE_PROXY_LISTEN__PORT" in read_listen(Path("/nowhere"), environment, "h", 1, required=False)[2]
