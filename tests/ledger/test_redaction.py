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
