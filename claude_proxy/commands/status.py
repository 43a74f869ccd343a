"""`claude-proxy status`: the login and the plan, who keeps them fresh, and how the daemon is."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import click

from claude_proxy import __version__
from claude_proxy.commands.options import config_option, told_if_faulty
from claude_proxy.commands.standing import (
    CLAUDE_CODE,
    CredentialStanding,
    DaemonStanding,
    LoginStanding,
    Standing,
    breakers_of,
    login_kind,
    refreshed_by,
)
from claude_proxy.commands.status_text import remedies, status_lines
from claude_proxy.config.address import listen_address
from claude_proxy.credentials.account import Account, Plan, read_account, read_plan_file
from claude_proxy.credentials.claude_program import login_file
from claude_proxy.credentials.key_file import keys_directory
from claude_proxy.credentials.spelling import SETUP_TOKEN, STORED_SETUP_TOKEN, is_login_file, is_login_source
from claude_proxy.health_report import (
    AnotherProgram,
    CredentialReport,
    HealthReport,
    NotAnswering,
    ask_health,
    reachable_host,
)

ANTHROPIC = "https://api.anthropic.com"


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
@click.option("--probe", is_flag=True, help="Also ask Anthropic for profile and usage, with the login in use.")
@click.option("--probe-url", default=ANTHROPIC, hidden=True, help="Who is asked: Anthropic, or this machine.")
def status(path: Path | None, *, as_json: bool, probe: bool, probe_url: str) -> None:
    """Say which login is used, of which plan, how much of it is left, and how the daemon is.

    \b
    Examples:
      claude-proxy status
      claude-proxy status --json
      claude-proxy status --probe

    The running daemon is asked. Where none answers, the stores of the configuration are looked into; a keychain may
    take five seconds for that. With --probe the login in use is sent to Anthropic once for its profile and once for
    its usage; the latter Anthropic answers only now and then, and not at all for a setup-token.

    \b
    Exit codes: 0 up, 1 degraded (draining, or an upstream is left alone), 3 not running, 4 the credential for Claude
    is missing or refused, 78 faulty configuration. Of several, 78 goes before 3, 3 before 4, 4 before 1.
    """
    sys.exit(show_status(path, as_json=as_json, probe_url=probe_url if probe else None))


def show_status(path: Path | None, *, as_json: bool = False, probe_url: str | None = None) -> int:
    """Prints how things stand; returns the exit code that this comes to."""
    environment = dict(os.environ)
    standing = how_it_stands(path, environment)
    if probe_url is not None:
        # Imported here because it leads to the whole house, which takes four times as long as all the rest.
        from claude_proxy.commands.probe import probe_logins, way_to
        from claude_proxy.config.load import load

        way = way_to(probe_url, told_if_faulty(lambda: load(path, environment)))
        probe_logins(standing.logins, probe_url, environment, way)
    if as_json:
        click.echo(json.dumps({**asdict(standing), "exit_code": standing.exit_code}, indent=2))
    else:
        for line in status_lines(standing):
            click.echo(line)
    for line in remedies(standing):
        click.echo(line, err=True)
    return standing.exit_code


def how_it_stands(path: Path | None, environment: Mapping[str, str]) -> Standing:
    """Asks the daemon, and looks into the stores for what it does not know."""
    host, port = told_if_faulty(lambda: listen_address(path, environment))
    reached = reachable_host(host)
    url = f"http://[{reached}]:{port}" if ":" in reached else f"http://{reached}:{port}"
    try:
        report = ask_health(host, port)
    except NotAnswering as error:
        taken = isinstance(error, AnotherProgram)
        daemon = DaemonStanding("down", url, __version__, problem=str(error), port_taken=taken)
        return _without_daemon(path, environment, daemon)
    daemon = DaemonStanding(
        state="draining" if report.status == "draining" else "up",
        url=url,
        command_version=__version__,
        version=report.version,
        pid=report.pid,
        uptime_seconds=report.uptime_seconds,
        in_flight=report.in_flight,
    )
    return _with_daemon(report, environment, daemon)


def _with_daemon(report: HealthReport, environment: Mapping[str, str], daemon: DaemonStanding) -> Standing:
    asked = {upstream.credential for upstream in report.upstreams.values()}
    standing = Standing(daemon, [], [], report.quota, breakers_of(report))
    for name, told in report.credentials.items():
        if name not in asked or (name == "none" and not told.sources):
            continue  # an upstream that asks for no credential
        one = CredentialStanding(name, told.state, told.source, told.detail, told.expires_at, "daemon")
        if not _may_be_login(told):
            standing.keys.append(one)
            continue
        if told.state == "not read" and told.sources:
            # Imported here because it leads to the whole house, which takes four times as long as all the rest.
            from claude_proxy.commands.own_look import look_at

            one = look_at(name, told.sources, environment)
        standing.logins.append(_login(one, told.sources, environment, told))
    return standing


def _without_daemon(path: Path | None, environment: Mapping[str, str], daemon: DaemonStanding) -> Standing:
    # Imported here because it leads to the whole house, which takes four times as long as all the rest.
    from claude_proxy.commands.own_look import look_at_all

    standing = Standing(daemon, [], [])
    for one, sources in look_at_all(path, environment):
        if any(is_login_source(source) for source in sources):
            standing.logins.append(_login(one, sources, environment, None))
        else:
            standing.keys.append(one)
    return standing


def _may_be_login(told: CredentialReport) -> bool:
    """A daemon of an older version names no sources."""
    return any(is_login_source(source) for source in told.sources or (told.source or "",))


def _login(
    one: CredentialStanding, sources: Sequence[str], environment: Mapping[str, str], told: CredentialReport | None
) -> LoginStanding:
    kind = login_kind(one.source)
    plan, account, problem = None, None, ""
    if kind == CLAUDE_CODE and one.source is not None:
        plan, problem = _plan(one.source, environment)
        account = _account(one.source, environment)
    if problem:
        one.detail = f"{one.detail}; {problem}" if one.detail else problem
    if plan is not None and one.expires_at is None:
        one.expires_at = plan.expires_at
    return LoginStanding(
        **asdict(one),
        kind=kind,
        refreshed_by=refreshed_by(one.source, told.refresh if told else None),
        refresh=told.refresh if told else None,
        last_refresh=told.last_refresh if told else None,
        plan=plan,
        account=account,
        behind=[STORED_SETUP_TOKEN] if one.source == "client" and _is_noted(sources, environment) else [],
    )


def _is_noted(sources: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Whether there is a setup-token that `login --setup-token` stored, and it is a source at all."""
    return STORED_SETUP_TOKEN in sources and (keys_directory(environment) / SETUP_TOKEN).is_file()


def _plan(source: str, environment: Mapping[str, str]) -> tuple[Plan | None, str]:
    """What Claude Code's own store says of the plan, and why it does not."""
    plan, problem = None, ""
    if source == "keychain" or (source == "client" and sys.platform == "darwin"):
        # Imported here because only macOS needs it, or who configured it: it takes half as long as all the rest.
        from claude_proxy.commands.keychain_plan import keychain_plan

        plan, problem = keychain_plan(environment)
    if plan is None and source != "keychain":
        place = Path(source.removeprefix("file:")).expanduser() if is_login_file(source) else login_file(environment)
        plan = read_plan_file(place)
    return plan, "" if plan is not None else problem


def _account(source: str, environment: Mapping[str, str]) -> Account | None:
    """A copied login may be of another account than the one that Claude Code knows here."""
    return None if is_login_file(source) else read_account(environment)
