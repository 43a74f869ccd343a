"""Nobody reads the daemon's log: requests are answered all the same."""

import asyncio
import os
import sys
from pathlib import Path

import yaml

from tests.asking import ask
from tests.running import clean_environment
from tests.stand_in import StandIn

ENOUGH_FOR_A_PIPE = 64 << 10
MESSAGE = {"model": "claude-sonnet-4-5", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}


async def test_requests_are_answered_although_the_log_s_pipe_is_full(tmp_path: Path) -> None:
    async with StandIn() as upstream:
        config = tmp_path / "config.yaml"
        settings = {"listen": {"port": 0}, "upstreams": {"claude": {"base_url": upstream.url}}}
        config.write_text(yaml.safe_dump(settings))
        reading, writing = os.pipe()
        command = [sys.executable, "-m", "claude_proxy", "serve", "--config", str(config)]
        process = await asyncio.create_subprocess_exec(
            *command, env=clean_environment(tmp_path), cwd=tmp_path, stdin=asyncio.subprocess.DEVNULL, stderr=writing
        )
        os.close(writing)
        try:
            # The first line only; from then on nobody reads.
            line = (await asyncio.to_thread(os.read, reading, 4096)).decode()
            url = line.partition("url=")[2].split()[0]
            written = 0
            while written < 2 * ENOUGH_FOR_A_PIPE:
                async with asyncio.timeout(20):
                    reply = await ask(f"{url}/v1/messages?{'x' * 400}", MESSAGE, {"x-api-key": "sk-ant-api03-FAKE"})
                assert reply.status == 200
                written += 300  # what one exchange's line has at least
        finally:
            os.close(reading)
            process.terminate()
            async with asyncio.timeout(20):
                await process.wait()
    assert process.returncode == 0
