"""A report in words: the first break on top, what is well folded, and nothing that steers a terminal."""

from claude_proxy.doctor.checkup import SECTIONS, Found, Report
from claude_proxy.doctor.finding import Finding, fail, ok, skip, warn
from claude_proxy.doctor.report_text import lines


def report(**findings: Finding) -> Report:
    """Of each section one finding, well but for those given by the section's first word in small letters."""
    found = [
        Found(section, next(iter(checks)), findings.get(section.split()[0].lower(), ok("fine")))
        for section, checks in SECTIONS.items()
    ]
    return Report(tuple(found), probed=False)


def text(of: Report, *, everything: bool = False) -> list[str]:
    return [line.text for line in lines(of, everything=everything)]


def test_where_all_is_well_each_section_has_a_line() -> None:
    said = text(report(probe=skip("not asked for")))
    assert said == [
        "✓ Everything on the way of a request is well.",
        "",
        "✓ Installation  well",
        "✓ Configuration well",
        "✓ Claude Code   well",
        "✓ Service       well",
        "✓ Daemon        well",
        "✓ Credentials   well",
        "✓ Upstreams     well",
        "✓ Ledger        well",
        "- Probe         not asked for",
    ]


def test_the_first_break_goes_before_earlier_warnings_and_what_mends_it_is_said_once() -> None:
    broken = report(
        configuration=warn("readable", "chmod 600 x"),
        daemon=fail("nobody answers", "start it", "or go direct"),
        upstreams=fail("no name", advice="go online", of="claude"),
    )
    assert broken.exit_code == 2
    assert text(broken) == [
        "✗ nobody answers",
        "  Mend it:  start it",
        "  or go direct",
        "",
        "✓ Installation  well",
        "! Configuration",
        "    ! readable",
        "      Mend it:  chmod 600 x",
        "✓ Claude Code   well",
        "✓ Service       well",
        "✗ Daemon",
        "    ✗ nobody answers",
        "✓ Credentials   well",
        "✗ Upstreams",
        "    ✗ claude: no name",
        "      Mend it:  go online",
        "✓ Ledger        well",
        "✓ Probe         well",
    ]
    colors = {line.text: line.color for line in lines(broken)}
    assert (colors["✗ nobody answers"], colors["! Configuration"], colors["✓ Ledger        well"]) == (
        "red",
        "yellow",
        None,
    )


def test_everything_unfolds_what_is_well() -> None:
    assert "    ✓ fine" in text(report(), everything=True)


def test_warnings_alone_are_on_top_and_steer_no_terminal() -> None:
    odd = report(daemon=warn("old \x1b[2J\u202e", "restart"))
    assert odd.exit_code == 1
    assert text(odd)[0] == "! old ?[2J?"
