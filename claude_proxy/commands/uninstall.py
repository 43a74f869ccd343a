"""`claude-proxy uninstall`: everything taken back that was ever written, in the order in which nothing is cut off."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click

from claude_proxy.commands import belongings, installed_by
from claude_proxy.commands.belongings import Belongings
from claude_proxy.commands.interrupt import ends_on_ctrl_c
from claude_proxy.commands.key import named_keys
from claude_proxy.commands.options import config_option
from claude_proxy.commands.paths import all_places
from claude_proxy.credentials.key_file import key_names, keys_directory
from claude_proxy.credentials.spelling import SETUP_TOKEN
from claude_proxy.service import removing
from claude_proxy.service.answering import Answering
from claude_proxy.service.control import ManagerFailed, ServiceManager
from claude_proxy.service.plan import NAME, Plan
from claude_proxy.toggle import address, sessions
from claude_proxy.toggle.disk import Disk
from claude_proxy.toggle.places import Places
from claude_proxy.toggle.refusals import ToggleRefused
from claude_proxy.toggle.switch import Switch
from claude_proxy.toggle.tell import tell, tell_lines, warn

_FAILED, _USAGE = 1, 2


@dataclass(frozen=True)
class _Step:
    """One thing to do, in words before and after. `act` raises OSError, ManagerFailed or KeyNotStored."""

    doing: str
    done: str
    act: Callable[[], object]


class _Uninstall:
    """What there is to take away, told or done."""

    def __init__(self, config: Path | None, environment: Mapping[str, str], *, purge: bool) -> None:
        self._config = config
        self._environment = environment
        self._purge = purge
        self.places = Places.of(environment)
        self._belongings = Belongings.of(environment)
        self._own = address.configured(config or self.places.configuration, environment).url
        host, port = address.host_and_port(self._own)
        self._plan = Plan((NAME,), host, port)
        ledger = all_places(config, environment, sys.platform)["ledger"].path
        self._chosen = [path.absolute() for path in (config, ledger) if path is not None]
        self.failures: list[str] = []

    def told(self) -> int:
        """Prints everything that would be done, and says how much that is."""
        steps = [step.doing for steps in self._stages() for step in steps]
        try:
            outcome = self._switch().disable(self._own, dry_run=True)
            tell_lines(outcome.lines, dry_run=True)
            number = len(steps) + (outcome.changed or bool(outcome.failures))
            warn(*outcome.failures)
            if outcome.changed and (running := len(sessions.running(since=outcome.since) or [])):
                warn(f"{running} running `claude` keep the daemon's address, and wait for minutes once it is gone")
        except ToggleRefused as refused:
            warn(str(refused))
            number = len(steps) + 1
        for step in steps:
            tell(f"would {step}")
        return number

    def done(self) -> None:
        """Does it. What cannot be done is told in `failures`, and the rest goes on."""
        self.failures.clear()
        try:
            outcome = self._switch().disable(self._own)
            tell_lines(outcome.lines, dry_run=False)
            self.failures += outcome.failures
        except ToggleRefused as refused:
            self.failures.append(str(refused))
        routing_is_off = not self.failures
        for steps in self._stages(keep_receipt=not routing_is_off):
            for step in steps:
                self._do(step)
        belongings.remove_empty(self._belongings.emptied())

    def kept(self) -> list[Path]:
        """What is the user's, and there still."""
        return self._belongings.personal()

    def elsewhere(self) -> list[Path]:
        """What the user has put in a place of their own choice, and that stays there."""
        ours = self._belongings
        return [
            path
            for path in self._chosen
            if path.exists()
            and not any(path.is_relative_to(place) for place in (ours.configuration, ours.data, ours.state))
        ]

    def _do(self, step: _Step) -> None:
        # Imported here because it leads to asyncio, which --help need not wait for.
        from claude_proxy.credentials.key_store import KeyNotStored

        try:
            step.act()
        except OSError as error:
            self.failures.append(f"could not {step.doing}: {error.strerror or error}")
        except (ManagerFailed, KeyNotStored) as error:
            self.failures.append(f"could not {step.doing}: {error}")
        else:
            tell(f"✓ {step.done}")

    def _switch(self) -> Switch:
        return Switch(self.places, Disk(), self._environment)

    def _stages(self, *, keep_receipt: bool = False) -> Iterator[list[_Step]]:
        """Each is looked for when the one before it has been done."""
        yield list(self._services())
        yield list(self._foreground())
        passing = self._belongings.passing()
        receipt = {self.places.receipt, self.places.flag} if keep_receipt else set()
        yield [self._removal(path) for path in passing if path not in receipt]
        if self._purge:
            yield list(self._keys())
            yield [self._removal(path) for path in self._belongings.personal() if not belongings.holds_program(path)]

    def _services(self) -> Iterator[_Step]:
        for manager in removing.installed(self._plan, self._environment, self.places.home):
            shown = ", ".join(self.places.shown(path) for path in manager.files() if path.exists())
            yield _Step(
                f"stop the service, once its running answers are finished, and remove {shown}",
                f"stopped the service, and removed {shown}",
                partial(self._end_service, manager),
            )
        agent = removing.sync_agent(self.places.home)
        if agent.exists():
            shown = self.places.shown(agent)
            yield _Step(f"remove {shown}", f"removed {shown}", partial(removing.remove_sync_agent, self.places.home))

    def _end_service(self, manager: ServiceManager) -> None:
        removing.end_service(manager, self._plan, _say_that_it_drains)
        removing.remove_files(manager)

    def _foreground(self) -> Iterator[_Step]:
        services = removing.installed(self._plan, self._environment, self.places.home)
        if not services and (running := removing.foreground_daemon(self._plan)) is not None:
            yield _Step(
                f"end the daemon, process {running.pid}, once its running answers are finished",
                f"ended the daemon, process {running.pid}",
                partial(removing.end_daemon, running, self._plan, _say_that_it_drains),
            )

    def _removal(self, path: Path) -> _Step:
        shown = self.places.shown(path) + ("/" if path.is_dir() and not path.is_symlink() else "")
        return _Step(f"remove {shown}", f"removed {shown}", partial(belongings.remove, path))

    def _keys(self) -> Iterator[_Step]:
        """Our own entries, under the service claude-proxy; nobody else's is ever looked at."""
        # Imported here because it leads to asyncio, which --help need not wait for.
        from claude_proxy.credentials.key_store import KeyNotStored, KeyStore

        directory = keys_directory(self._environment)
        store = KeyStore(directory)
        for name in sorted({SETUP_TOKEN, *key_names(directory), *named_keys(self._config)}):
            try:
                place = store.find(name)
            except KeyNotStored as error:
                where = (
                    f"if there is one ({error})"  # what stands in the way of looking need not be in that of removing
                )
            else:
                if place is None:
                    continue
                where = f"which lies in {'its file' if place == 'file' else 'the keychain'}"
            yield _Step(f"forget the key {name}, {where}", f"forgot the key {name}", partial(store.remove, name))


def _say_that_it_drains(answering: Answering | None) -> None:
    number = f"{answering.in_flight} running answers" if answering else "its running answers"
    tell(f"… it finishes {number}. Ctrl-C leaves the rest for another `{NAME} uninstall`", err=True)


@click.command()
@config_option
@click.option("--dry-run", is_flag=True, help="Say what would be done, and change nothing.")
@click.option(
    "--purge", is_flag=True, help="Also your configuration, keys, ledger, and a login copied for a container."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
def uninstall(path: Path | None, *, dry_run: bool, purge: bool, yes: bool) -> None:
    """Take back all that claude-proxy has ever written on this machine.

    Routing is switched off first, then the daemon ends once its running answers are finished, then the service's
    files, state and logs are removed. Configuration, keys and ledger are kept unless you say --purge. Claude Code's
    own login, settings and files stay as they are. The program itself is removed by what installed it: the last line
    says how.

    \b
    Examples:
      claude-proxy uninstall --dry-run
      claude-proxy uninstall
      claude-proxy uninstall --purge --yes
    Exit codes: 0 done, 1 something stays or you said no, 2 without a terminal it takes --yes, 130 Ctrl-C.
    """
    environment = dict(os.environ)
    this = _Uninstall(path, environment, purge=purge)
    with ends_on_ctrl_c():
        if dry_run or (not yes and sys.stdin.isatty()):
            there_is = this.told()
            if there_is and not dry_run:
                _ask()
        elif not yes:
            raise click.UsageError("there is no terminal to ask at: look with --dry-run, then say --yes")
        if not dry_run:
            this.done()
    _tell_rest(this, purge=purge, dry_run=dry_run)
    for failure in this.failures:
        tell(f"{NAME}: {failure}", err=True)
    sys.exit(_FAILED if this.failures else 0)


def _ask() -> None:
    if not click.confirm("Do it?", err=True):
        tell("Nothing was changed.", err=True)
        sys.exit(_FAILED)


def _tell_rest(this: _Uninstall, *, purge: bool, dry_run: bool) -> None:
    kept = this.kept()
    if not purge or not dry_run:
        for path in kept:
            tell(f"{'would keep' if dry_run else 'kept'} {this.places.shown(path)}")
    if kept and not purge:
        tell(f"To remove these, too: {NAME} uninstall --purge")
    for path in this.elsewhere():
        tell(f"{'would keep' if dry_run else 'kept'} {this.places.shown(path)}, a place that you have chosen")
    if belongings.status_line_left(this.places.settings):
        warn(f"{this.places.shown(this.places.settings)} has {NAME} as statusLine: take that out yourself")
    tell(f"The program itself: {installed_by.removal()}")
