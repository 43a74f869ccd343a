"""What is in force: every setting once, with its value and where that came from, and never a secret."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml
from msgspec.structs import replace

from claude_proxy.config.effective import Setting, effective, nested, remarks
from claude_proxy.config.layers import lay
from claude_proxy.config.load import load

OWN = """\
listen: { port: 9 }
credentials:
  kimi: { sources: [env:KIMI_KEY] }
upstreams:
  kimi: { preset: kimi, credential: kimi, queue_timeout: 90s }
  "local.one": { base_url: "http://127.0.0.1:1", dialect: compatible }
routes:
  - { model: "kimi-*", to: [{ upstream: kimi }] }
  - { to: [{ upstream: claude }] }
transport: { header_timeout: 90m }
"""


def found(home: Path, text: str, environment: Mapping[str, str] | None = None) -> list[Setting]:
    file = home / "mine.yaml"
    file.write_text(text)
    return effective(lay(file, environment or {}, lines=True).tree, load(file, environment or {}), environment or {})


def by_path(settings: list[Setting]) -> dict[str, tuple[Any, str]]:
    assert len({setting.path for setting in settings}) == len(settings)
    return {setting.path: (setting.value, setting.source) for setting in settings}


def test_each_value_is_told_with_the_line_or_variable_that_it_is_from(tmp_path: Path) -> None:
    environment = {"CLAUDE_PROXY_LOG__LEVEL": "debug", "MAX_CONCURRENT_REQUESTS": "7"}
    told = by_path(found(tmp_path, OWN, environment))
    file = tmp_path / "mine.yaml"
    assert told["listen.port"] == (9, f"{file}:1")
    assert told["upstreams.kimi.queue_timeout"] == ("90s", f"{file}:5")
    assert told["log.level"] == ("debug", "variable CLAUDE_PROXY_LOG__LEVEL")
    assert told["upstreams.minimax.max_concurrency"] == (
        7,
        "variable MAX_CONCURRENT_REQUESTS (now CLAUDE_PROXY_UPSTREAMS__MINIMAX__MAX_CONCURRENCY)",
    )
    value, source = told["listen.host"]
    assert (value, source.rstrip("0123456789")) == ("127.0.0.1", "default.yaml:")
    assert told["upstreams.kimi.base_url"][1].startswith("presets.yaml:")


def test_what_is_written_nowhere_is_told_too(tmp_path: Path) -> None:
    told = by_path(found(tmp_path, OWN))
    assert told["upstreams.kimi.max_concurrency"] == (5, "built in, for the dialect compatible")
    assert told["upstreams.claude.count_tokens"] == ("pass", "built in, for the dialect anthropic")
    assert told["upstreams.claude.header_timeout"] == ("90m", "transport.header_timeout")
    assert told["credentials.kimi.cache_ttl"] == ("5m", "built in")
    assert told['upstreams."local.one".max_queue'] == (100, "built in, for the dialect compatible")


def test_the_way_out_is_told_of_each_upstream_that_has_one_and_no_secret(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(bundle)
    way = f"transport: {{ proxy: 'http://p:1', proxy_auth: {{ env: FAKE_LOGIN }}, ca_bundle: {bundle} }}\n"
    text = f"{way}upstreams: {{ minimax: {{ proxy: direct }}, 'b.c': {{ base_url: 'http://[::1]:1' }} }}\n"
    environment = {"FAKE_LOGIN": "me:FAKE-password"}
    settings = found(tmp_path, text, environment)
    told = by_path(settings)
    assert "FAKE-password" not in str(told)
    assert told["upstreams.claude.proxy"] == ("http://p:1", "transport.proxy")
    assert told["upstreams.claude.ca_bundle"] == (str(bundle), "transport.ca_bundle")
    assert told["upstreams.minimax.proxy"] == ("direct", f"{tmp_path / 'mine.yaml'}:2")
    assert 'upstreams."b.c".proxy' not in told
    assert told["transport.proxy_auth.env"][1].endswith(" · FAKE_LOGIN is set")
    again = tmp_path / "again.yaml"
    again.write_text(yaml.safe_dump(nested(settings), sort_keys=False))
    one, other = (load(file, environment).upstreams for file in (tmp_path / "mine.yaml", again))
    for name, its in one.items():
        before, after = its.transport.egress, other[name].transport.egress
        assert before is not None
        assert after is not None
        assert replace(after, proxy_setting=before.proxy_setting) == before
    variables = {"HTTPS_PROXY": "http://me:FAKE-password@env:1"}
    told = by_path(found(tmp_path, "transport: { trust_env: true }\n", variables))
    assert told["upstreams.claude.proxy"] == ("http://env:1", "variable HTTPS_PROXY")


def test_settings_of_one_thing_stand_together_in_the_manual_s_order(tmp_path: Path) -> None:
    settings = found(tmp_path, OWN)
    sections = list(dict.fromkeys(setting.path.split(".")[0].split("[")[0] for setting in settings))
    assert sections == list(lay(None, {}).tree.value)
    upstreams = [setting.path.split(".")[1] for setting in settings if setting.path.startswith("upstreams.")]
    assert upstreams == sorted(upstreams, key=list(dict.fromkeys(upstreams)).index)


def test_a_secret_is_told_as_a_reference_and_whether_it_is_there(tmp_path: Path) -> None:
    environment = {"AUTH_TOKEN": "FAKE-token", "HAIKU_PROVIDER_API_KEY": "FAKE-key", "KIMI_KEY": "FAKE-kimi"}
    told = by_path(found(tmp_path, OWN, environment))
    assert told["access.token.env"][0] == "AUTH_TOKEN"
    assert told["access.token.env"][1].endswith(" · AUTH_TOKEN is set")
    assert told["access.dashboard_password.env"][1].endswith(" · not set")
    assert told["credentials.minimax.sources"][1].endswith(" · HAIKU_PROVIDER_API_KEY is set")
    assert told["credentials.kimi.sources"] == (["env:KIMI_KEY"], f"{tmp_path / 'mine.yaml'}:3 · KIMI_KEY is set")
    assert "FAKE" not in str(told)


def test_what_looks_like_a_secret_is_not_told_wherever_it_stands(tmp_path: Path) -> None:
    environment = {"CLAUDE_PROXY_SENTINELS": "[sk-ant-oat01-FAKE-in-a-list]", "AUTH_API_KEY_HEADER": "sk-ant-FAKE-name"}
    told = by_path(found(tmp_path, "", environment))
    assert told["sentinels"][0] == ["[a secret]"]
    assert told["access.header"][0] == "[a secret]"


@pytest.mark.parametrize("text", ["", OWN])
def test_it_is_a_configuration_that_says_just_this(tmp_path: Path, text: str) -> None:
    settings = found(tmp_path, text)
    before = load(tmp_path / "mine.yaml", {})
    again = tmp_path / "again.yaml"
    again.write_text(yaml.safe_dump(nested(settings), sort_keys=False))
    assert replace(load(again, {}), file=before.file) == before


def test_what_does_nothing_is_remarked(tmp_path: Path) -> None:
    environment = {"OPENAI_API_KEY": "FAKE", "PORT": "1", "CLAUDE_PROXY_LISTEN__PORT": "2", "SERVER_HOST": "::1"}
    assert remarks(found(tmp_path, "", environment), environment) == [
        "OPENAI_API_KEY is not used: this version calls no API of OpenAI's",
        "PORT has no effect: variable CLAUDE_PROXY_LISTEN__PORT goes before it",
    ]
