"""Every module can be imported alone, in a process of its own, without a warning."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from tests.house.source import modules


def import_alone(name: str) -> tuple[str, int, str]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"import {name}"], capture_output=True, text=True, check=False, timeout=60
    )
    return name, done.returncode, done.stderr


def test_every_module_can_be_imported_alone() -> None:
    names = [module.name for module in modules()]
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(import_alone, names))
    assert [name for name, code, _ in results if code == 0] == names, [text for _, code, text in results if code]
