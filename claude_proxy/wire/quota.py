"""The subscription's windows as the `anthropic-ratelimit-unified-*` headers state them."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

_PREFIX = "anthropic-ratelimit-unified-"


@dataclass(frozen=True, slots=True)
class Quota:
    """What one answer said of the plan: the overall status and the Unix time (seconds) of the next reset."""

    status: str
    reset: float | None

    @property
    def spent_until(self) -> float | None:
        """When the spent window resets, as Unix time in seconds; None where no window is spent."""
        return self.reset if self.status == "rejected" else None


def read_quota(headers: Iterable[tuple[str, str]]) -> Quota | None:
    """The quota that the headers state, or None where they state none. Malformed values count as absent."""
    found = {name.removeprefix(_PREFIX): value for key, value in headers if (name := key.lower()).startswith(_PREFIX)}
    if "status" not in found:
        return None
    try:
        reset = float(found.get("reset", ""))
    except ValueError:
        reset = None
    if reset is not None and not math.isfinite(reset):
        reset = None
    return Quota(found["status"], reset)
