"""A secret is found in every spelling that JSON has for it, and replaced by as many other characters."""

import json

import pytest

from claude_proxy.ledger.redaction import Redaction


@pytest.mark.parametrize("secret", ["FAKE-plain", 'FAKE"with\\quotes', "FAKE/with/slashes", "FAKE-ümläut"])
def test_a_secret_is_replaced_however_json_spells_it(secret: str) -> None:
    redaction = Redaction(frozenset({secret, "FAKE"}))
    for spelling in (secret, json.dumps(secret, ensure_ascii=False), json.dumps(secret).replace("/", "\\/")):
        if not spelling.isascii() or secret.isascii():
            redaction.altered = False
            cleaned = redaction(spelling.encode())
            assert redaction.altered
            assert b"FAKE" not in cleaned
            assert len(cleaned) == len(spelling.encode())


def test_what_holds_no_secret_is_left() -> None:
    redaction = Redaction(frozenset({"FAKE-secret", ""}))
    assert redaction(b"nothing of the kind") == b"nothing of the kind"
    assert not redaction.altered


@pytest.mark.parametrize("at", [0, (256 << 10) - 5, 256 << 10, 700_000])
def test_a_secret_is_found_wherever_it_stands_in_a_long_text(at: int) -> None:
    breaths: list[None] = []
    redaction = Redaction(frozenset({"FAKE-secret", "Bearer FAKE-secret"}), lambda: breaths.append(None))
    text = b"x" * at + b"FAKE-secret" + b"x" * 300_000
    assert redaction(text) == text.replace(b"FAKE-secret", b"[redacted]*")
    assert redaction.altered
    assert breaths or at < 256 << 10
    assert redaction(b"Bearer FAKE-secret") == b"[redacted]********"
