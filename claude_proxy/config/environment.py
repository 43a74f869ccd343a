"""Settings from environment variables: `CLAUDE_PROXY_A__B`, and the names that older proxies use."""

from collections.abc import Mapping

from claude_proxy.config.tree import Complaint, Node, nodes, put

PREFIX = "CLAUDE_PROXY_"

# Not settings, but where to find them.
_RESERVED = frozenset({"CLAUDE_PROXY_CONFIG"})

OLDER_NAMES: Mapping[str, str] = {
    "ANTHROPIC_DEMOTE_NONSTREAMING": "transport.demote_nonstreaming",
    "ANTHROPIC_FORWARD_URL": "upstreams.claude.base_url",
    "ANTHROPIC_MAX_RETRIES": "retry.max_retries",
    "ANTHROPIC_RESPONSE_HEADER_TIMEOUT": "transport.header_timeout",
    "AUTH_ALLOW_LOCALHOST_BYPASS": "access.localhost_bypass",
    "AUTH_API_KEY_HEADER": "access.header",
    "AUTH_ENABLED": "access.enabled",
    "HAIKU_PROVIDER_BASE_URL": "upstreams.minimax.base_url",
    "MAX_CONCURRENT_REQUESTS": "upstreams.minimax.max_concurrency",
    "PORT": "listen.port",
    "PROXY_PUBLIC_URL": "access.public_url",
    "SERVER_HOST": "listen.host",
    "TRUST_PROXY": "access.trust_proxy",
}
"""Variable: setting. AUTH_TOKEN, DASHBOARD_PASSWORD, REAL_ANTHROPIC_API_KEY and HAIKU_PROVIDER_API_KEY stand in
default.yaml, as the places where those secrets are looked for."""

_WORDS = {"1": True, "0": False, "yes": True, "no": False, "on": True, "off": False, "true": True, "false": False}
_BOOLEANS = frozenset(
    {
        "access.enabled",
        "access.localhost_bypass",
        "access.trust_proxy",
        "transport.demote_nonstreaming",
        "transport.trust_env",
    }
)


def overlay(environment: Mapping[str, str], complaints: list[Complaint]) -> Node:
    """The tree of all settings that the environment makes; its own names win over the older ones."""
    tree = Node({}, "the environment")
    found = {path: name for name, path in OLDER_NAMES.items() if environment.get(name, "").strip()}
    own = sorted(
        name
        for name, text in environment.items()
        if name.startswith(PREFIX) and name not in _RESERVED and text.strip()  # an empty variable says nothing
    )
    found.update({name.removeprefix(PREFIX).lower().replace("__", "."): name for name in own})
    for path, name in found.items():
        try:
            value = _value(path, environment[name].strip())
        except ValueError:
            complaints.append(Complaint(f"variable {name}", path, "expected a plain value or YAML"))
        else:
            put(tree, path.split("."), nodes(value, f"variable {name}"), f"variable {name}")
    return tree


def _value(path: str, text: str) -> object:
    """What a variable says of a setting. Raises ValueError."""
    if path == "listen.host":
        return text  # [::1] is an address and no list
    if path in _BOOLEANS and text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if text.isdecimal() and str(int(text)) == text:
        return int(text)  # as YAML has it, without the time that importing it takes: a port is what most set
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
