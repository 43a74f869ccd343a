"""The chain in the order of a request: which checks there are, walked one after the other, and what they come to."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from claude_proxy import __version__
from claude_proxy.doctor import (
    claude_code,
    configuration,
    credentials,
    daemon,
    installation,
    ledger,
    probe,
    supervision,
    upstreams,
)
from claude_proxy.doctor.finding import Finding, Mark, fail, gravest
from claude_proxy.doctor.whole_case import WholeCase

FORMAT = 1
"""Of the JSON; another number where a name goes or changes its meaning. Names may be added."""

WELL, DEGRADED, BROKEN = 0, 1, 2

Check = Callable[[WholeCase], Iterator[Finding]]

# What a later check needs is found by an earlier one: credentials before upstreams.
SECTIONS: dict[str, dict[str, Check]] = {
    "Installation": {"installation.program": installation.program},
    "Configuration": {
        "configuration.valid": configuration.valid,
        "configuration.secrets": configuration.secrets,
        "configuration.reach": configuration.reach,
    },
    "Claude Code": {
        "claude_code.settings": claude_code.settings,
        "claude_code.receipt": claude_code.receipt,
        "claude_code.gateway": claude_code.gateway,
        "claude_code.replaced_login": claude_code.replaced_login,
        "claude_code.routed": claude_code.routed,
    },
    "Service": {"service.program": supervision.program, "service.manager": supervision.manager},
    "Daemon": {
        "daemon.answers": daemon.answers,
        "daemon.version": daemon.version,
        "daemon.ending": daemon.ending,
        "daemon.configuration": configuration.in_force,
        "daemon.token": daemon.token,
    },
    "Credentials": {"credentials.usable": credentials.usable},
    "Upstreams": {
        "upstreams.reachable": upstreams.reachable,
        "upstreams.left_alone": upstreams.left_alone,
        "upstreams.clock": upstreams.clock,
    },
    "Ledger": {"ledger.directory": ledger.directory},
    "Probe": {"probe.answered": probe.answered},
}


class Found(NamedTuple):
    """A finding, and which check of which section it is of."""

    section: str
    check: str
    finding: Finding

    def as_json(self) -> dict[str, Any]:
        its = self.finding
        return {
            "check": self.check,
            "of": its.of or None,
            "mark": str(its.mark),
            "says": its.says,
            "command": its.command or None,
            "advice": its.advice or None,
        }


class Report(NamedTuple):
    """All findings in the order of the chain. `probed`: requests were sent that cost."""

    found: tuple[Found, ...]
    probed: bool

    @property
    def first(self) -> Found | None:
        """The first break; where nothing is broken, the first warning."""
        for mark in (Mark.FAIL, Mark.WARN):
            for found in self.found:
                if found.finding.mark is mark:
                    return found
        return None

    @property
    def exit_code(self) -> int:
        """0 well, 1 degraded, 2 broken."""
        first = self.first
        return WELL if first is None else BROKEN if first.finding.mark is Mark.FAIL else DEGRADED

    def sections(self) -> dict[str, list[Found]]:
        return {name: [found for found in self.found if found.section == name] for name in SECTIONS}

    def as_json(self) -> dict[str, Any]:
        """For programs, as docs/doctor.md describes it."""
        return {
            "format": FORMAT,
            "version": __version__,
            "exit_code": self.exit_code,
            "first": self.first.as_json() if self.first else None,
            "probed": self.probed,
            "sections": [
                {
                    "section": name,
                    "mark": str(gravest([found.finding.mark for found in its])),
                    "checks": [found.as_json() for found in its],
                }
                for name, its in self.sections().items()
            ],
        }


def examine(case: WholeCase) -> Report:
    """Walks the whole chain; a break does not end it, since what lies behind may be broken as well."""
    found = [
        Found(section, name, finding)
        for section, checks in SECTIONS.items()
        for name, check in checks.items()
        for finding in _made(check, case)
    ]
    return Report(tuple(found), case.probing)


def _made(check: Check, case: WholeCase) -> Iterator[Finding]:
    try:
        yield from check(case)
    except Exception as error:
        # A machine that ails is odd in ways that nobody has thought of; what lies behind is told all the same. The
        # error's own words may quote a file.
        yield fail(f"this check could not be made: {type(error).__name__}", advice="that is a fault of ours: report it")
