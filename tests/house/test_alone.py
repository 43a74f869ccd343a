"""Every module can be imported alone, in a process of its own, without a warning."""

import subprocess
import sys

from tests.house.source import modules

# A process in which nothing of ours is imported, but the libraries are, makes a child for each name: their imports
# are nine tenths of the time. A child's exit code and what it says are told in one line each.
_ALONE = """
import os, sys, tempfile, traceback
import aiohttp.web, click, msgspec, prometheus_client, sqlite3, tenacity, yaml
for name in sys.argv[1:]:
    assert not any(module.split(".")[0] == "claude_proxy" for module in sys.modules)
    child = os.fork()
    if not child:
        try:
            __import__(name)
        except BaseException:
            print(name, repr(traceback.format_exc()), flush=True)
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    print(name, os.waitstatus_to_exitcode(status), flush=True)
"""


def test_every_module_can_be_imported_alone() -> None:
    names = [module.name for module in modules()]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _ALONE, *names], capture_output=True, text=True, check=False, timeout=100
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [f"{name} 0" for name in names]
