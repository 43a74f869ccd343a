"""`claude-proxy service install`, `start`, `stop`, `restart`, `status`, `uninstall`."""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click

from claude_proxy.port_holder import holders
from claude_proxy.service.answering import Answering, wait_until, who_answers
from claude_proxy.service.control import ManagerFailed, ServiceManager
from claude_proxy.service.launchd import Launchd
from claude_proxy.service.plan import NAME, Plan, Unfit, make_plan
from claude_proxy.service.systemd import Systemd

FAILED, NOT_RUNNING, CONFIG = 1, 3, 78

_START_SECONDS = 30.0
_STOP_SECONDS = 10.0
_NEW_VERSION_SECONDS = 20.0  # until the next version serves; it takes less than one


class Service:
    """A plan, and the manager that carries it out."""

    def __init__(self, plan: Plan, keeper: ServiceManager) -> None:
        self.plan = plan
        self.keeper = keeper

    def answering(self) -> Answering | None:
        return who_answers(self.plan.host, self.plan.port)

    def serves(self) -> bool:
        answering = self.answering()
        return answering is not None and answering.status == "healthy"

    def is_installed(self) -> bool:
        return self.keeper.program() is not None


def _fail(words: str, code: int = FAILED) -> NoReturn:
    click.echo(f"{NAME}: {words}", err=True)
    sys.exit(code)


def _service(config: Path | None, manager: str | None) -> Service:
    """Reads the configuration, which says where to listen."""
    from claude_proxy.config.load import load
    from claude_proxy.config.tree import ConfigurationError

    try:
        settings = load(config, os.environ)
        plan = make_plan(settings.listen.host, settings.listen.port, settings.drain_timeout, config)
    except ConfigurationError as error:
        for complaint in error.complaints:
            click.echo(str(complaint), err=True)
        sys.exit(CONFIG)
    except Unfit as error:
        _fail(str(error), CONFIG)
    if manager == "launchd" or (manager is None and sys.platform == "darwin"):
        return Service(plan, Launchd(plan, Path.home()))
    return Service(plan, Systemd(plan, os.environ))


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    kinds = click.Choice(["systemd", "launchd"])
    command = click.option("--manager", type=kinds, help="Default: launchd on macOS, else systemd.")(command)
    return click.option(
        "--config",
        type=click.Path(path_type=Path, dir_okay=False),
        envvar="CLAUDE_PROXY_CONFIG",
        help="The configuration file that the service is to use. Default: ~/.config/claude-proxy/config.yaml.",
    )(command)


def _print(service: Service) -> None:
    for path, text in service.keeper.files().items():
        click.echo(f"# {path}\n{text}")


@click.group(
    "service",
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
)
@click.option(
    "--print", "only_print", is_flag=True, help="Show the files that `install` would write, and write nothing."
)
@click.pass_context
def service(context: click.Context, *, only_print: bool) -> None:
    """Run the daemon as a service of yours: systemd on Linux, launchd on macOS.

    \b
    Examples:
      claude-proxy service install      now, and with each session from now on
      claude-proxy service restart      after an upgrade: no request is lost
      claude-proxy service status

    Exit codes: 0 done or running, 1 failed or degraded, 3 not running, 78 faulty configuration.
    """
    if context.invoked_subcommand is None and only_print:
        _print(_service(None, None))


@service.command()
@_options
@click.option("--print", "only_print", is_flag=True, help="Show the files, and write nothing.")
def install(config: Path | None, manager: str | None, *, only_print: bool) -> None:
    """Write the service's files, have it start with your session, and start it.

    \b
    Examples:
      claude-proxy service install
      claude-proxy service install --print
      claude-proxy service install --config mine.yaml

    Exit codes: 0 it serves, 1 failed, 78 faulty configuration.
    """
    wanted = _service(config, manager)
    if only_print:
        _print(wanted)
        return
    changed = False
    try:
        for path, text in wanted.keeper.files().items():
            before = path.read_text("utf-8") if path.exists() else None
            if before != text:
                changed = changed or before is not None
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, "utf-8")
            click.echo(f"{'wrote' if before != text else 'kept '} {path}")
        wanted.keeper.reread()
    except OSError as error:
        _fail(f"{error.filename} cannot be written: {error.strerror}")
    except ManagerFailed as failed:
        _fail(str(failed))
    if changed and wanted.keeper.state().loaded:
        click.echo("The running service has the old files until: claude-proxy service stop, then start")
    _start(wanted)
    for remark in wanted.keeper.remarks():
        click.echo(remark)
    click.echo(f"Its log: {wanted.keeper.log()}\nNext: proxy-toggle enable")


@service.command()
@_options
def start(config: Path | None, manager: str | None) -> None:
    """Start the service, and have it start with your session.

    \b
    Example:
      claude-proxy service start

    Exit codes: 0 it serves, 1 failed, 3 not installed, 78 faulty configuration.
    """
    _start(_installed(config, manager))


def _installed(config: Path | None, manager: str | None) -> Service:
    wanted = _service(config, manager)
    if not wanted.is_installed():
        _fail("the service is not installed: claude-proxy service install", NOT_RUNNING)
    return wanted


def _start(wanted: Service) -> None:
    try:
        other = wanted.answering()
        if other is not None and not wanted.keeper.state().loaded:
            _fail(f"process {other.pid} answers on {wanted.plan.url} already, and is not the service: stop it first")
        wanted.keeper.start()
        failed = "" if wait_until(wanted.serves, _START_SECONDS) else "it was started, but does not answer"
    except ManagerFailed as error:
        failed = str(error)
    if failed:
        who = holders(wanted.plan.port)
        held = f"\nPort {wanted.plan.port} is held by {who}." if who else ""
        _fail(f"{failed}{held}\nIts log says why: {wanted.keeper.log()}")
    answering = wanted.answering()
    click.echo(f"Running: {wanted.plan.url}, version {answering.version if answering else 'unknown'}")


@service.command()
@_options
def stop(config: Path | None, manager: str | None) -> None:
    """Stop the service. Running answers are finished first.

    \b
    Example:
      claude-proxy service stop && proxy-toggle disable

    Exit codes: 0 stopped, 1 failed, 3 not installed, 78 faulty configuration.
    """
    _stop(_installed(config, manager))
    click.echo(
        "If Claude Code is routed through it, it waits for minutes now. To send it straight: proxy-toggle disable"
    )


def _stop(wanted: Service) -> None:
    try:
        wanted.keeper.stop()
        ended = wait_until(lambda: not wanted.keeper.state().loaded, _STOP_SECONDS)
    except ManagerFailed as failed:
        _fail(str(failed))
    minutes = wanted.plan.drain_timeout / 60
    click.echo("Stopped." if ended else f"Stopping: it finishes its answers, for {minutes:.0f} minutes at most.")


@service.command()
@_options
def restart(config: Path | None, manager: str | None) -> None:
    """Start the version that is installed now; the old one finishes its answers. No request is lost.

    \b
    Example:
      uv tool upgrade claude-proxy && claude-proxy service restart

    Exit codes: 0 the new one serves, 1 failed, 3 not installed, 78 faulty configuration.
    """
    wanted = _installed(config, manager)
    try:
        pid = wanted.keeper.state().pid
        before = wanted.answering()
        if pid is None or before is None:
            _start(wanted)
            return
        os.kill(pid, signal.SIGUSR2)
    except ManagerFailed as failed:
        _fail(str(failed))
    except ProcessLookupError:
        _start(wanted)
        return

    def another() -> bool:
        now = wanted.answering()
        return now is not None and now.pid != before.pid

    if not wait_until(another, _NEW_VERSION_SECONDS):
        log = wanted.keeper.log()
        _fail(f"process {before.pid}, version {before.version}, still serves. The next one has not started: {log}")
    now = wanted.answering() or before
    click.echo(f"Process {now.pid}, version {now.version}, takes all new requests.")
    if before.pid == pid:
        click.echo(
            f"Process {pid}, version {before.version}, finishes {before.in_flight} answers, then takes over again."
        )


@service.command()
@_options
@click.option("--json", "as_json", is_flag=True)
def status(config: Path | None, manager: str | None, *, as_json: bool) -> None:
    """Say whether the service is installed, runs, and answers.

    \b
    Examples:
      claude-proxy service status
      claude-proxy service status --json

    Exit codes: 0 running, 1 degraded, 3 not running, 78 faulty configuration.
    """
    wanted = _service(config, manager)
    program = wanted.keeper.program()
    try:
        state = wanted.keeper.state()
    except ManagerFailed as failed:
        _fail(str(failed))
    answering = wanted.answering()
    gone = program is not None and not os.access(program, os.X_OK)
    shown = {
        "installed": program is not None,
        "program": program,
        "program_exists": not gone and program is not None,
        "loaded": state.loaded,
        "pid": state.pid,
        "manager": state.words,
        "url": wanted.plan.url,
        "answers": None if answering is None else vars(answering),
    }
    if as_json:
        click.echo(json.dumps(shown))
    else:
        click.echo(f"Service  {'installed' if program else 'not installed: claude-proxy service install'}")
        click.echo(f"Program  {program or '-'}{' is gone: claude-proxy service install' if gone else ''}")
        click.echo(f"Manager  {state.words}")
        said = (
            f"pid {answering.pid}, version {answering.version}, {answering.in_flight} in flight"
            if answering
            else "nobody"
        )
        click.echo(f"Answers  {said} on {wanted.plan.url}")
    if not state.loaded:
        sys.exit(NOT_RUNNING)
    sys.exit(FAILED if gone or answering is None else 0)


@service.command()
@_options
def uninstall(config: Path | None, manager: str | None) -> None:
    """Stop the service and remove its files. Configuration and logs are kept.

    \b
    Example:
      claude-proxy service uninstall

    Exit codes: 0 removed, 1 failed, 78 faulty configuration.
    """
    wanted = _service(config, manager)
    _stop(wanted)
    try:
        wanted.keeper.forget()
        for path in wanted.keeper.files():
            if path.exists():
                path.unlink()
                click.echo(f"removed {path}")
        wanted.keeper.reread()
    except OSError as error:
        _fail(f"{error.filename} cannot be removed: {error.strerror}")
    except ManagerFailed as failed:
        _fail(str(failed))
    click.echo("If Claude Code is routed through it: proxy-toggle disable")
