"""`python -m claude_proxy.service` is the group of commands, under the name that it will have."""

from pathlib import Path

from tests.service.programs import Programs


async def test_it_explains_itself(tmp_path: Path) -> None:
    code, printed, _ = await Programs(tmp_path).service("--help")
    assert code == 0
    assert printed.startswith("Usage: claude-proxy service ")
    for command in ("install", "start", "stop", "restart", "status", "uninstall"):
        assert f"  {command} " in printed
