"""A report in words: the first break with what mends it, then the sections; those that are well are folded."""

from collections.abc import Iterator
from typing import NamedTuple

from claude_proxy.doctor.checkup import Found, Report
from claude_proxy.doctor.finding import Finding, Mark, gravest

_SIGNS = {Mark.OK: "✓", Mark.SKIP: "-", Mark.WARN: "!", Mark.FAIL: "✗"}
_COLORS = {Mark.WARN: "yellow", Mark.FAIL: "red"}
_WIDTH = 14  # characters for a section's name


class Line(NamedTuple):
    """`color` is a name of click's, None for none."""

    text: str
    color: str | None = None


def lines(report: Report, *, everything: bool = False) -> Iterator[Line]:
    """With `everything` the sections that are well are unfolded, too. What comes from elsewhere cannot steer the
    terminal."""
    for line in _lines(report, everything=everything):
        yield line._replace(text="".join(letter if letter.isprintable() else "?" for letter in line.text))


def _lines(report: Report, *, everything: bool) -> Iterator[Line]:
    first = report.first
    if first is None:
        yield Line("✓ Everything on the way of a request is well.")
    else:
        yield Line(f"{_sign(first.finding)} {_said(first)}", _COLORS[first.finding.mark])
        yield from _remedy(first.finding, "  ")
    yield Line("")
    for name, its in report.sections().items():
        mark = gravest([found.finding.mark for found in its])
        troubled = [found for found in its if found.finding.mark in _COLORS]
        shown = its if everything else troubled
        summary = "" if shown else its[0].finding.says if mark is Mark.SKIP else "well"
        yield Line(f"{_SIGNS[mark]} {name:<{_WIDTH}}{summary}".rstrip(), _COLORS.get(mark))
        for found in shown:
            yield Line(f"    {_sign(found.finding)} {_said(found)}", _COLORS.get(found.finding.mark))
            if found is not first:
                yield from _remedy(found.finding, "      ")


def _sign(finding: Finding) -> str:
    return _SIGNS[finding.mark]


def _said(found: Found) -> str:
    return f"{found.finding.of}: {found.finding.says}" if found.finding.of else found.finding.says


def _remedy(finding: Finding, indent: str) -> Iterator[Line]:
    if finding.command:
        yield Line(f"{indent}Mend it:  {finding.command}")
    if finding.advice:
        yield Line(f"{indent}{'' if finding.command else 'Mend it:  '}{finding.advice}")
