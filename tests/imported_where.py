"""On which thread a module is imported, as if that had never been."""

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

import pytest


class _Listener(MetaPathFinder):
    """Finds nothing, and notes who looks for one module."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.threads: list[threading.Thread] = []

    def find_spec(self, name: str, _: Sequence[str] | None, __: ModuleType | None = None) -> ModuleSpec | None:
        if name == self._name:
            self.threads.append(threading.current_thread())
        return None


@contextmanager
def importing(name: str) -> Iterator[list[threading.Thread]]:
    """The threads that import it within the block; after it, the module is the one from before."""
    listener = _Listener(name)
    package, _, last = name.rpartition(".")
    with pytest.MonkeyPatch.context() as patch:
        if name in sys.modules:
            patch.delitem(sys.modules, name)
            patch.delattr(sys.modules[package], last)
        patch.setattr(sys, "meta_path", [listener, *sys.meta_path])
        yield listener.threads
