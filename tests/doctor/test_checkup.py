"""The whole chain: what is well, which break goes before which, and the JSON that programs read."""

import json
import re
from collections.abc import Iterator

import pytest

from claude_proxy.doctor.checkup import SECTIONS
from claude_proxy.doctor.finding import Finding, ok
from claude_proxy.doctor.whole_case import WholeCase
from tests.doctor.patient import Patient, assert_well, broken, finding, first, mended
from tests.house.source import REPOSITORY

pytestmark = pytest.mark.asyncio(loop_scope="package")


async def test_where_all_is_well_nothing_is_named_and_every_check_has_been_made(routed: Patient) -> None:
    report = await routed.ask()
    assert_well(report)
    made = {found["check"] for section in report["sections"] for found in section["checks"]}
    assert made == {name for checks in SECTIONS.values() for name in checks}


async def test_nothing_configured_at_all_is_well_but_for_routing(patient: Patient) -> None:
    found = await broken(patient, "claude_code.routed", "warn")
    assert "Claude Code asks Anthropic directly" in found["says"]
    await mended(patient, found)


async def test_what_comes_later_is_told_as_well_and_the_first_is_on_top(routed: Patient) -> None:
    routed.env["ANTHROPIC_API_KEY"] = "sk-ant-api03-FAKE-key"
    routed.write(routed.home / ".local/share/claude-proxy", "not a directory")
    routed.write(routed.file, "listen: [")
    report = await routed.ask()
    assert first(report)["check"] == "configuration.valid"
    assert finding(report, "ledger.directory")["mark"] == "fail"
    assert finding(report, "claude_code.replaced_login")["mark"] == "warn"
    assert finding(report, "upstreams.reachable")["mark"] == "skip"


async def test_what_nobody_has_thought_of_keeps_nothing_back_of_what_comes_later(
    routed: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unthought_of(case: WholeCase) -> Iterator[Finding]:
        yield ok("so far so good")
        raise UnicodeDecodeError("utf-8", b"sk-ant-oat01-FAKE\xff", 17, 18, "invalid start byte")

    monkeypatch.setitem(SECTIONS["Service"], "service.program", unthought_of)
    report = await routed.ask()
    found = first(report)
    assert (found["check"], found["mark"]) == ("service.program", "fail")
    assert found["says"] == "this check could not be made: UnicodeDecodeError"
    assert finding(report, "ledger.directory")["mark"] == "ok"
    assert report["exit_code"] == 2


# --- what programs and people read -----------------------------------------------------------------------

DOCUMENT = (REPOSITORY / "docs/doctor.md").read_text()


async def test_every_check_stands_in_the_document_in_its_order_and_no_other() -> None:
    rows = re.findall(r"^\| `([a-z_]+\.[a-z_]+)` \|", DOCUMENT, re.MULTILINE)
    assert rows == [name for checks in SECTIONS.values() for name in checks]


async def test_the_json_has_the_shape_that_the_document_shows(patient: Patient) -> None:
    [shown] = re.findall(r"```json\n(.*?)```", DOCUMENT, re.DOTALL)
    example, report = json.loads(shown), await patient.ask()
    assert list(report) == list(example)
    assert list(report["first"]) == list(example["first"])
    assert [section["section"] for section in report["sections"]] == list(SECTIONS)
    for section in (*report["sections"], *example["sections"]):
        assert list(section) == ["section", "mark", "checks"]
        assert section["mark"] in {"ok", "skip", "warn", "fail"}
        for found in section["checks"]:
            assert list(found) == list(report["first"])
            assert found["check"] in SECTIONS[section["section"]]
            assert found["mark"] in {"ok", "skip", "warn", "fail"}
            assert isinstance(found["says"], str)
            remedies = [found[name] for name in ("command", "advice")]
            assert all(remedy is None or remedy for remedy in remedies)
            assert any(remedies) == (found["mark"] in {"warn", "fail"})
    assert (report["format"], report["exit_code"]) == (example["format"], example["exit_code"])
