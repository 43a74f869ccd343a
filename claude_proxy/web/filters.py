"""Which exchanges a question means, and which page of them: read from the address."""

import re

import msgspec

from claude_proxy.ledger.store import Filter, Place
from claude_proxy.web.errors import Refused
from claude_proxy.web.parameters import Parameters

WHICH = (
    "model",
    "start",
    "end",
    "upstream",
    "endpoint",
    "session",
    "conversation",
    "project",
    "organization",
    "agent",
    "outcome",
)
"""Parameters that say which exchanges."""

PAGE = ("page", "limit", "cursor")
"""Parameters that say which of them to show."""

_OUTCOMES = ("complete", "failed", "broken", "client_gone")
_CURSOR = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)_([0-9]{1,18})")
_MOST = 500


class Page(msgspec.Struct, frozen=True):
    """Where it begins, by the place behind which it does or by the number of those to leave out, and how long it is."""

    number: int
    limit: int
    after: Place | None

    @property
    def offset(self) -> int:
        return 0 if self.after else (self.number - 1) * self.limit


def which(parameters: Parameters) -> Filter:
    """Raises Refused where a parameter cannot be meant so. `model=all` is every model, as dashboards say it."""
    model, agent = parameters.text("model"), parameters.choice("agent", ("main", "sub"))
    session = parameters.text("session")
    return Filter(
        since=parameters.time("start"),
        until=parameters.time("end", end=True),
        model=None if model == "all" else model,
        upstream=parameters.text("upstream"),
        endpoint=parameters.text("endpoint"),
        session=session,
        # A session is a conversation of the same name, by which requests are found at once.
        conversation=parameters.text("conversation") or session,
        project=parameters.text("project"),
        organization=parameters.text("organization"),
        agents=None if agent is None else agent == "sub",
        end=parameters.choice("outcome", _OUTCOMES),
    )


def page(parameters: Parameters) -> Page:
    """Raises Refused where a parameter cannot be meant so."""
    cursor, after = parameters.text("cursor"), None
    if cursor is not None:
        found = _CURSOR.fullmatch(cursor)
        if found is None:
            raise Refused(400, "bad_parameter", "cursor: expected what `next` said on the page before")
        after = Place(float(found[1]), int(found[2]))
    return Page(parameters.integer("page", 1, 1, 1_000_000), parameters.integer("limit", 50, 1, _MOST), after)


def cursor(place: Place) -> str:
    """A place as the address of the next page names it: exact, for a page must neither repeat nor leave out."""
    return f"{place.accepted:.9f}_{place.number}"
