"""The configuration as it is in force: every setting with its value and where that came from; no secret."""

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from claude_proxy.config.environment import OLDER_NAMES, PREFIX
from claude_proxy.config.load import with_presets
from claude_proxy.config.older_names import LEDGER, SECRETS, without_effect
from claude_proxy.config.reader import Reader
from claude_proxy.config.settings import Settings, UpstreamSettings
from claude_proxy.config.tree import Node, redacted

_COLUMN = re.compile(r"(?<=:\d):\d+$|(?<=\d):\d+$")
_OLDER = {*OLDER_NAMES, *LEDGER}


class Setting(NamedTuple):
    """`value` is text, a number, a truth, None, or a list of such; `source` says where it came from."""

    path: str
    value: Any
    source: str


def effective(tree: Node, settings: Settings, environment: Mapping[str, str]) -> list[Setting]:
    """Of a configuration without a fault, in the order of default.yaml."""
    upstreams = with_presets(Reader(tree, "", []).section("upstreams")).node
    whole = Node({**tree.value, "upstreams": upstreams}, tree.place)
    written = list(_walk(whole, "", environment))
    paths = {setting.path for setting in written}
    left_out = [
        setting
        for upstream in settings.upstreams.values()
        for setting in _by_dialect(upstream)
        if setting.path not in paths
    ]
    left_out += [
        Setting(f"credentials.{name}.{key}", _duration(seconds), "built in")
        for name, one in settings.credentials.items()
        for key, seconds in (("cache_ttl", one.cache_ttl), ("read_timeout", one.read_timeout))
        if f"credentials.{name}.{key}" not in paths
    ]
    order = {group: number for number, group in enumerate(dict.fromkeys(_group(one.path) for one in written))}
    # Stable: what is left out in the file stands behind what is written there of the same upstream.
    return sorted([*written, *left_out], key=lambda one: order[_group(one.path)])


def remarks(settings: list[Setting], environment: Mapping[str, str]) -> list[str]:
    """What is set in the environment and does nothing."""
    found = [f"{name} is not used: {reason}" for name, reason in without_effect(environment).items()]
    sources = {setting.path: setting.source for setting in settings}
    for name, path in OLDER_NAMES.items():
        if environment.get(name, "").strip() and not sources.get(path, "").startswith(f"variable {name} "):
            found.append(f"{name} has no effect: {sources.get(path, 'another')} goes before it")
    return found


def nested(settings: list[Setting]) -> dict[str, Any]:
    """The same as a tree, which is a configuration that says just this."""
    root: dict[str, Any] = {}
    for setting in settings:
        place: Any = root
        steps = _steps(setting.path)
        for step, following in itertools.pairwise(steps):
            place = _into(place, step, [] if isinstance(following, int) else {})
        last = steps[-1]
        if isinstance(last, int):
            place.append(setting.value)
        else:
            place[last] = setting.value
    return root


def _walk(node: Node, path: str, environment: Mapping[str, str]) -> Iterator[Setting]:
    value = node.value
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            # A name of the user's may have dots in it.
            yield from _walk(inner, f"{path}.{_key(key)}".lstrip("."), environment)
    elif isinstance(value, list) and any(isinstance(inner.value, (dict, list)) for inner in value):
        for index, inner in enumerate(value):
            yield from _walk(inner, f"{path}[{index}]", environment)
    else:
        plain = [_plain(inner.value) for inner in value] if isinstance(value, list) else _plain(value)
        yield Setting(path, plain, _source(node.place, path, plain, environment))


def _plain(value: object) -> object:
    return redacted(value) if isinstance(value, str) else value


def _source(place: str, path: str, value: object, environment: Mapping[str, str]) -> str:
    """Where a value came from: a file and its line, or a variable; and which of the secrets that it names are there."""
    name = place.removeprefix("variable ")
    if name in _OLDER:
        place = f"variable {name} (now {PREFIX}{path.upper().replace('.', '__')})"
    elif name == place:
        place = _COLUMN.sub("", place)
    named = [value] if path.endswith(".env") else value if path.endswith(".sources") else []
    variables = [str(one).removeprefix("env:") for one in named] if isinstance(named, list) else []
    there = [one for one in variables if environment.get(one, "").strip()]
    if there:
        return f"{place} · {', '.join(there)} is set"
    return f"{place} · not set" if path in {f"{secret}.env" for secret in SECRETS.values()} else place


def _by_dialect(upstream: UpstreamSettings) -> Iterator[Setting]:
    """What an upstream has without its being written, mostly by its dialect."""
    told: dict[str, Any] = {
        "dialect": upstream.dialect,
        "count_tokens": str(upstream.count_tokens),
        "cache_control": upstream.cache_control,
        "context_window": upstream.context_window,
        "max_concurrency": upstream.slots.max_concurrency,
        "max_queue": upstream.slots.max_queue,
        "queue_timeout": _duration(upstream.slots.queue_timeout),
    }
    for key, value in told.items():
        yield Setting(f"upstreams.{_key(upstream.name)}.{key}", value, f"built in, for the dialect {upstream.dialect}")
    ground = upstream.transport
    inherited: dict[str, Any] = {
        "connect_timeout": _duration(ground.connect_timeout),
        "header_timeout": _duration(ground.header_timeout),
        "stream_idle_timeout": _duration(ground.stream_idle_timeout),
    }
    if upstream.dialect == "anthropic":
        inherited["demote_nonstreaming"] = ground.demote_nonstreaming
    for key, value in inherited.items():
        yield Setting(f"upstreams.{_key(upstream.name)}.{key}", value, f"transport.{key}")
    if (way_out := ground.egress) is not None:
        if way_out.proxy:
            yield Setting(f"upstreams.{_key(upstream.name)}.proxy", way_out.proxy, way_out.proxy_setting)
        if way_out.ca_bundle:
            yield Setting(f"upstreams.{_key(upstream.name)}.ca_bundle", way_out.ca_bundle, "transport.ca_bundle")


def _duration(seconds: float) -> str:
    """As it would be written."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        if seconds and seconds % size == 0:
            return f"{seconds // size:.0f}{unit}"
    return f"{seconds:g}s"


def _group(path: str) -> tuple[str | int, ...]:
    """The section, or the one upstream or credential, to which a setting belongs."""
    steps = _steps(path)
    return tuple(steps[:2] if steps[0] in {"upstreams", "credentials"} else steps[:1])


def _key(name: str) -> str:
    return f'"{name}"' if re.search(r"[.\[\]]", name) else name


def _steps(path: str) -> list[str | int]:
    found = re.findall(r'"([^"]*)"|\[(\d+)\]|([^.\[\]"]+)', path)
    return [int(index) if index else quoted or plain for quoted, index, plain in found]


def _into(place: Any, step: str | int, empty: Any) -> Any:
    """The mapping or list below `place`, made where it is not there yet."""
    if isinstance(step, int):
        if step == len(place):
            place.append(empty)
        return place[step]
    return place.setdefault(step, empty)
