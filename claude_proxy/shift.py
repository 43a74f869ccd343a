"""A process's shift: it serves, reloads, hands over to the next version, finishes what it has begun, and leaves."""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable, Coroutine, Iterator
from enum import Enum, auto
from typing import Any

from claude_proxy import __version__
from claude_proxy.assembly import House
from claude_proxy.config.settings import Settings
from claude_proxy.config.tree import ConfigurationError
from claude_proxy.handover import Predecessor, StandIn, hold_signals_back, let_signals_in
from claude_proxy.listening import Listening
from claude_proxy.logline import say
from claude_proxy.notify import Notifier
from claude_proxy.web.gate import Gate

_log = logging.getLogger(__name__)

_PROGRESS_EVERY = 10.0  # seconds between two signs that a drain goes on
_START_TIMEOUT = 60.0  # seconds that the next version may take until it serves
_TURNS = 5  # of the event loop, after which every signal that has come is in the queue

_ENDING = frozenset({signal.SIGTERM, signal.SIGINT})

Load = Callable[[], Settings]


class End(Enum):
    """How a shift ends. FORCED: what still ran was cut off. SUCCEEDED: this process becomes the next version."""

    DONE = auto()
    FORCED = auto()
    SUCCEEDED = auto()


class Told(Enum):
    """What another process of ours has told us, or its end."""

    SENT_AWAY = auto()
    TAKEN_OVER = auto()
    STAND_IN_SERVES = auto()
    STAND_IN_GONE = auto()


Event = signal.Signals | Told


class Shift:
    """`predecessor` is there in a stand-in only; `stand_ins` have served while we became what we are."""

    def __init__(
        self,
        house: House,
        load: Load,
        gate: Gate,
        listening: Listening,
        notifier: Notifier,
        start_stand_in: Callable[[], StandIn],
        predecessor: Predecessor | None = None,
        stand_ins: list[StandIn] | None = None,
    ) -> None:
        self.stand_ins = stand_ins or []
        self._house = house
        self._load = load
        self._gate = gate
        self._listening = listening
        self._notifier = notifier
        self._start_stand_in = start_stand_in
        self._predecessor = predecessor
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._next: StandIn | None = None
        self._deadline = 0.0
        self._tasks: set[asyncio.Task[None]] = set()
        self._stand_in_tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> End:
        """From the first connection to the last."""
        loop = asyncio.get_running_loop()
        for number in (*_ENDING, signal.SIGHUP, signal.SIGUSR2):
            loop.add_signal_handler(number, self._events.put_nowait, number)
        let_signals_in()
        self._watch(self._notifier.feed_watchdog(), self._tasks)
        try:
            await self._gate.open()
            self._say_that_we_serve()
            end: End | None = None
            while end is None:
                end = await self._act(await self._events.get())
            return end
        finally:
            for task in (*self._tasks, *self._stand_in_tasks):
                task.cancel()

    def _say_that_we_serve(self) -> None:
        if self._predecessor is not None:
            self._predecessor.we_serve()
            self._watch(self._sent_away(self._predecessor), self._tasks)
        for stand_in in self.stand_ins:
            stand_in.leave(taken_over=True)
            self._watch(self._forget(stand_in), self._stand_in_tasks)
        say(
            _log,
            logging.INFO,
            "listening",
            url=self._listening.url,
            version=__version__,
            pid=os.getpid(),
            config=str(self._house.settings.file or "built-in"),
            stands_in_for=os.getppid() if self._predecessor else None,
        )
        self._notifier.ready(self._status())
        self._house.read_ahead()

    def _status(self) -> str:
        return f"serving on {self._listening.url}, version {__version__}"

    async def _act(self, event: Event) -> End | None:
        """What an event leads to while we serve; None where we go on serving."""
        match event:
            case signal.SIGHUP:
                self._reload()
            case signal.SIGUSR2:
                self._call_stand_in()
            case Told.STAND_IN_SERVES if self._next is not None:
                return await self._hand_over(self._next)
            case Told.STAND_IN_GONE | Told.STAND_IN_SERVES:
                self._next = None
                say(_log, logging.ERROR, "handover_failed", cause="the next version ended before it served")
            case _:
                return await self._finish(event)
        return None

    # --- while we serve ------------------------------------------------------------------------------------

    def _reload(self) -> None:
        self._notifier.reloading()
        try:
            settings = self._load()
        except ConfigurationError as error:
            for complaint in error.complaints:
                say(_log, logging.ERROR, "reload_refused", fault=str(complaint))
        except Exception:
            # A fault of ours in reading it must not end a daemon that is answering.
            _log.exception("the configuration was not reloaded because of a fault in claude-proxy")
        else:
            self._house.reload(settings)
            logging.getLogger("claude_proxy").setLevel(settings.log.level.upper())
            say(_log, logging.INFO, "reloaded", config=str(settings.file or "built-in"))
        self._notifier.ready(self._status())

    def _call_stand_in(self) -> None:
        if self._predecessor is not None or self._next is not None:
            self._refuse_handover()
            return
        try:
            self._next = self._start_stand_in()
        except OSError as error:
            say(_log, logging.ERROR, "handover_failed", cause=f"the program cannot be run: {error.strerror}")
            return
        say(_log, logging.INFO, "handing_over", to=self._next.pid)
        self._watch(self._attend(self._next), self._stand_in_tasks)

    def _refuse_handover(self) -> None:
        say(_log, logging.WARNING, "handover_refused", cause="another one is under way")

    async def _attend(self, stand_in: StandIn) -> None:
        """Puts what becomes of a stand-in into the queue."""
        try:
            async with asyncio.timeout(_START_TIMEOUT):
                serves = await stand_in.serving()
        except TimeoutError:
            stand_in.kill()
            serves = False
        if serves:
            self._events.put_nowait(Told.STAND_IN_SERVES)
        await stand_in.gone()
        stand_in.channel.close()
        self._events.put_nowait(Told.STAND_IN_GONE)

    async def _forget(self, stand_in: StandIn) -> None:
        await stand_in.gone()
        stand_in.channel.close()
        self.stand_ins.remove(stand_in)

    async def _sent_away(self, predecessor: Predecessor) -> None:
        taken_over = await predecessor.sends_away()
        self._events.put_nowait(Told.TAKEN_OVER if taken_over else Told.SENT_AWAY)

    # --- while another serves, or nobody -------------------------------------------------------------------

    async def _hand_over(self, stand_in: StandIn) -> End | None:
        """The stand-in serves; we finish what we have begun. None where it has failed, and we serve again."""
        drain = self._house.drain
        drain.begin(refuse=False)
        await self._gate.close()
        with self._until_finished(self._finished()) as finished:
            while True:
                self._notifier.tell(f"STATUS=process {stand_in.pid} serves; finishing {drain.in_flight} answers")
                say(_log, logging.INFO, "handed_over", to=stand_in.pid, in_flight=drain.in_flight)
                match await self._next_event(finished):
                    case signal.SIGTERM | signal.SIGINT as event:
                        return await self._finish(event)
                    case Told.STAND_IN_GONE:
                        self._next = None
                        drain.resume()
                        await self._gate.open()
                        say(_log, logging.ERROR, "handover_failed", cause="the next version has ended; this one serves")
                        self._notifier.ready(self._status())
                        return None
                    case signal.SIGHUP:
                        stand_in.reload()
                    case signal.SIGUSR2:
                        self._refuse_handover()
                    case _:
                        pass
                if finished.done() or self._left() <= 0:
                    if await self._may_succeed():
                        self.stand_ins.append(stand_in)
                        say(_log, logging.INFO, "succeeding", cut_off=drain.in_flight or None)
                        return End.SUCCEEDED
                    # What mends it comes with a signal.
                    self._events.put_nowait(await self._events.get())

    async def _may_succeed(self) -> bool:
        """Whether we may become the next version now: no signal has come between, and it would start."""
        hold_signals_back()
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        if self._events.empty():
            try:
                self._load()
            except Exception as error:
                # The stand-in has read it, but it may be another by now. It goes on serving.
                cause = "; ".join(map(str, getattr(error, "complaints", [error])))
                say(_log, logging.ERROR, "handover_waits", cause=cause, remedy="mend the configuration, then kill -HUP")
            else:
                return True
        let_signals_in()
        return False

    async def _finish(self, why: Event) -> End:
        """Lets running exchanges finish, those of stand-ins too, until a signal or the limit ends them."""
        drain = self._house.drain
        refuse = not (self._listening.held or why is Told.TAKEN_OVER or drain.draining)
        drain.begin(refuse=refuse)
        if not refuse:
            await self._gate.close()
            self._listening.close()  # where nobody else has it any more, clients shall be refused rather than wait
        if self._next is not None:
            self.stand_ins.append(self._next)
        for stand_in in self.stand_ins:
            stand_in.leave(taken_over=False)
        limit = self._house.settings.drain_timeout
        say(_log, logging.INFO, "draining", signal=why.name, in_flight=drain.in_flight, limit_s=limit)
        with self._until_finished(self._all_finished()) as finished:
            while True:
                left = self._left()
                status = f"finishing {drain.in_flight} answers, for {round(left)} s at most"
                self._notifier.stopping(status, 3 * _PROGRESS_EVERY)
                event = await self._next_event(finished)
                if finished.done():
                    say(_log, logging.INFO, "stopped")
                    return End.DONE
                if event in _ENDING or self._left() <= 0:
                    cause = "a second signal" if event in _ENDING else "the drain timeout"
                    say(_log, logging.WARNING, "stopped", cause=cause, cut_off=drain.in_flight)
                    for stand_in in self.stand_ins:
                        stand_in.kill()
                    return End.FORCED
                if event is None:
                    say(_log, logging.INFO, "draining", in_flight=drain.in_flight, left_s=round(left))

    @contextlib.contextmanager
    def _until_finished(self, finished: Coroutine[Any, Any, None]) -> Iterator["asyncio.Task[None]"]:
        """Within it the drain's time runs."""
        self._deadline = asyncio.get_running_loop().time() + self._house.settings.drain_timeout
        task = asyncio.create_task(finished, name="drain")
        try:
            yield task
        finally:
            task.cancel()

    def _left(self) -> float:
        return self._deadline - asyncio.get_running_loop().time()

    async def _next_event(self, finished: "asyncio.Task[None]") -> Event | None:
        """What comes first: an event, or None for the end of the drain, of its time, or of ten seconds."""
        event = asyncio.create_task(self._events.get(), name="event")
        await asyncio.wait(
            {finished, event}, timeout=min(_PROGRESS_EVERY, max(0.0, self._left())), return_when=asyncio.FIRST_COMPLETED
        )
        if event.done():
            return event.result()
        event.cancel()
        return None

    async def _finished(self) -> None:
        """Returns once nothing is in flight; where somebody else has the sockets, also once nothing is to come."""
        drain = self._house.drain
        await drain.empty()
        while not drain.refusing:
            await self._gate.quiet()
            if not drain.in_flight:
                return
            await drain.empty()

    async def _all_finished(self) -> None:
        await self._finished()
        if self._stand_in_tasks:
            await asyncio.wait(self._stand_in_tasks)

    def _watch(self, watching: Coroutine[Any, Any, None], tasks: "set[asyncio.Task[None]]") -> None:
        task = asyncio.create_task(watching)
        tasks.add(task)
        task.add_done_callback(tasks.discard)
