"""Checks of the upstreams: whether each is reached, whether the daemon leaves it alone; and this machine's clock."""

import sys
from collections.abc import Iterator
from urllib.parse import urlsplit

from claude_proxy.commands.status_text import span
from claude_proxy.config.settings import UpstreamSettings
from claude_proxy.doctor.finding import Finding, Mark, fail, ok, skip, warn
from claude_proxy.doctor.knock import Door, Knock, knock_at_all
from claude_proxy.doctor.whole_case import WholeCase
from claude_proxy.toggle.health import Health, mapping, sequence
from claude_proxy.upstreams.egress import Egress

_CLOCK_MAY_BE_OFF = 60.0  # seconds; from 300 on a login that is still good counts as expired (EXPIRY_SKEW)
_PROXIES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")


def reachable(case: WholeCase) -> Iterator[Finding]:
    """Name, connection, TLS, an answer; without a credential, and only where one is that could be sent later."""
    settings = case.settings
    if settings is None:
        yield skip("the configuration is faulty")
        return
    asked = []
    for name in case.routed():
        credential = settings.upstreams[name].credential
        if credential is not None and case.stands.get(credential) is Mark.SKIP:
            yield skip("it has no credential, so nobody asks it", name)
        else:
            asked.append(name)
    upstreams = {name: settings.upstreams[name] for name in asked}
    case.knocks = knock_at_all({name: (its.base_url, its.transport.egress) for name, its in upstreams.items()})
    for name, found in case.knocks.items():
        yield _reached(case, settings.upstreams[name], found)._replace(of=name)


def _reached(case: WholeCase, upstream: UpstreamSettings, found: Knock) -> Finding:
    host = urlsplit(upstream.base_url).netloc
    setting = f"upstreams.{upstream.name}.base_url in {case.file}"
    egress = upstream.transport.egress or Egress()
    through = f" through the proxy {egress.proxy}" if egress.proxy else ""
    proxies = [name for name in _PROXIES if case.environment.get(name) and not egress.proxy]
    bypassed = f"; {proxies[0]} is set here, and the daemon does not use it" if proxies else ""
    match found.door:
        case Door.ANSWERED:
            return ok(f"{host}{through}: {found.reason}" if found.reason else f"{host} answers{through}")
        case Door.PROXY:
            says = f"the proxy {egress.proxy} does not lead to {host}: {found.reason}"
            mend = f"change {egress.proxy_setting}" + ("" if "variable" in egress.proxy_setting else f" in {case.file}")
            advice = f"see that it runs and lets this machine through, or {mend}"
        case Door.NAME:
            says, advice = (
                f"the name {host}: {found.reason}{bypassed}",
                f"see that this machine is online, or mend {setting}",
            )
        case Door.CONNECTION:
            says, advice = f"no connection to {host}: {found.reason}{bypassed}", f"see that it is up, or mend {setting}"
        case Door.CERTIFICATE:
            says = f"the certificate of {host} is not trusted{through}: {found.reason}"
            advice = (
                "where your company's authority has signed it, name its PEM file as "
                f"upstreams.{upstream.name}.ca_bundle, or start the daemon with SSL_CERT_FILE=<its PEM file>; "
                f"a clock that is wrong has the same effect; or mend {setting}"
            )
        case Door.TLS:
            says, advice = (
                f"no TLS with {host}{through}: {found.reason}",
                f"see whether it speaks TLS at all, or mend {setting}",
            )
        case Door.HTTP:
            says, advice = (
                f"{host} gives no HTTP answer{through}: {found.reason}",
                f"see what listens there, or mend {setting}",
            )
    return fail(says, advice=advice)


def left_alone(case: WholeCase) -> Iterator[Finding]:
    """An upstream whose breaker is not closed gets no request for a while."""
    if not isinstance(case.health, Health):
        yield skip("no daemon answers")
        return
    found = False
    for name, its in case.health.section("upstreams").items():
        for part in map(mapping, sequence(mapping(mapping(its).get("breaker")).get("parts"))):
            found = True
            left = part.get("retry_in_seconds")
            whose = {"api": "", "model": f" for {part.get('model')}"}.get(str(part.get("of")), " for its credential")
            says = f"the daemon leaves it alone{whose}: {part.get('reason') or 'no reason told'}"
            if part.get("state") == "half_open":
                yield warn(says, advice="the next request tries it", of=name)
            elif left:
                yield warn(says, advice=f"it is tried again in {span(float(left))}", of=name)
            else:
                yield warn(says, f"kill -HUP {case.pid}", "once its credential has been replaced", of=name)
    if not found:
        yield ok("the daemon leaves none alone")


def clock(case: WholeCase) -> Iterator[Finding]:
    """By the Date of the answers: expiries of logins are compared with this machine's own clock."""
    found = {name: its.ahead for name, its in case.knocks.items() if its.ahead is not None}
    if not found:
        yield skip("no upstream has told the time")
        return
    name, ahead = min(found.items(), key=lambda pair: abs(pair[1]))
    if abs(ahead) <= _CLOCK_MAY_BE_OFF:
        yield ok("this machine's clock is right")
        return
    way = "ahead of" if ahead > 0 else "behind"
    set_it = "sudo sntp -sS time.apple.com" if sys.platform == "darwin" else "sudo timedatectl set-ntp true"
    yield warn(f"this machine's clock is {span(abs(ahead))} {way} that of {name}", set_it)
