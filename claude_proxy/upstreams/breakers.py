"""The breakers of one upstream: one for the API itself, and one for each limit that only some requests meet.

That an API is down or overloaded is everybody's concern. A spent plan or a refused key is that of the login or key
which met it, and a limit of one model that of this model alone: neither may keep other requests away. Each is a
circuit breaker of its own, made when the first such failure comes; a request must be let through by all that
concern it.
"""

import time
from collections.abc import Callable, Container, Mapping, Sequence
from enum import StrEnum
from functools import partial
from typing import NamedTuple

import msgspec

from claude_proxy.credentials.credential import Credential
from claude_proxy.failures import AttemptFailed, BreakerEffect, Failure, FailureKind
from claude_proxy.upstreams.breaker import Admission, BreakerSettings, BreakerState, CircuitBreaker

FORGOTTEN_AFTER = 3600.0
"""Seconds without a request after which the limit of a client's own login is forgotten: logins are renewed."""

_MOST = 256  # limits that are remembered at once
_GRAVITY = {BreakerState.CLOSED: 0, BreakerState.HALF_OPEN: 1, BreakerState.OPEN: 2}


class Caller(NamedTuple):
    """Whose limits a request meets: its credential's, by a hash that tells nothing of it, and its model's."""

    who: int
    ours: bool
    model: str

    @classmethod
    def of(cls, credential: Credential | None, model: str) -> "Caller":
        if credential is None:
            return cls(0, False, model)
        return cls(hash(credential.secret), credential.ours, model)


class Scope(StrEnum):
    """Whose affair a failure is."""

    API = "api"
    CREDENTIAL = "credential"
    MODEL = "model"


class Part(NamedTuple):
    """One breaker that is not closed; `model` where it is for that one alone."""

    of: Scope
    model: str | None
    breaker: CircuitBreaker


class _Limit(msgspec.Struct):
    breaker: CircuitBreaker
    ours: bool
    used: float


_Key = tuple[int, str | None]


class AdmissionByAll:
    """One request's passage through all breakers that concern it."""

    __slots__ = ("_admissions", "_breakers", "_caller")

    def __init__(self, breakers: "Breakers", caller: Caller, admissions: Mapping[_Key | None, Admission]) -> None:
        self._breakers = breakers
        self._caller = caller
        self._admissions = admissions

    def __enter__(self) -> None:
        for admission in self._admissions.values():
            admission.__enter__()

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, AttemptFailed):
            self._breakers.learn(error.failure, self._caller, self._admissions)
        for admission in self._admissions.values():
            admission.__exit__(kind, error, trace)


class Breakers:
    """Says whether an upstream may be asked for a caller, and learns from each answer."""

    def __init__(
        self,
        upstream: str,
        settings: BreakerSettings,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._upstream = upstream
        self._settings = settings
        self._monotonic = monotonic
        self._clock = clock
        self._api = self._new(Scope.API)
        self._everybodys: Sequence[tuple[_Key | None, CircuitBreaker]] = ((None, self._api),)
        self._limits: dict[_Key, _Limit] = {}
        self.ours = 0
        """Who the last caller with a credential of ours was; 0 where there was none yet."""

    @property
    def state(self) -> BreakerState:
        """The gravest state of them all."""
        return self._gravest.state

    @property
    def reason(self) -> str:
        """Why the gravest one is open, in words; "" while all are closed."""
        return self._gravest.reason

    @property
    def retry_in(self) -> float:
        """Seconds until the gravest one lets a probe pass, infinite where time alone changes nothing."""
        return self._gravest.retry_in

    @property
    def _gravest(self) -> CircuitBreaker:
        breakers = (self._api, *(limit.breaker for limit in self._known().values()))
        return max(breakers, key=lambda breaker: (_GRAVITY[breaker.state], breaker.retry_in))

    @property
    def counted(self) -> int:
        """How many failures in a row the API itself has to its account."""
        return self._api.counted

    def parts(self) -> list[Part]:
        """Each breaker that is not closed."""
        found = [Part(Scope.API, None, self._api)]
        for key, limit in self._known().items():
            found.append(Part(_scope_of(key), key[1], limit.breaker))
        return [part for part in found if part.breaker.state is not BreakerState.CLOSED]

    def admits(self, caller: Caller) -> bool:
        """Whether a request of this caller would be let through now."""
        return all(breaker.admits() for _, breaker in self._concerning(caller))

    def check(self, caller: Caller, *, last_resort: bool = False, probe: bool = True) -> None:
        """Raises AttemptFailed where a request of this caller would not pass now."""
        if caller.ours and caller.who != self.ours:
            self._replaced(caller.who)
        for _, breaker in self._concerning(caller):
            breaker.check(last_resort=last_resort, probe=probe)

    def is_dead(self, credential: Credential) -> bool:
        """Whether this very credential was refused."""
        limit = self._limits.get((hash(credential.secret), None))
        return limit is not None and limit.breaker.dead

    def admission(self, caller: Caller, *, last_resort: bool = False) -> "AdmissionByAll":
        """One request's passage, from which they learn. Raises AttemptFailed where it may not pass."""
        concerning = self._concerning(caller)
        return AdmissionByAll(self, caller, {key: each.admission(last_resort=last_resort) for key, each in concerning})

    def learn(self, failure: Failure, caller: Caller, passed: Container[_Key | None]) -> None:
        """Takes note of a limit that a request has met, where none of those that let it pass has."""
        scope = _scope(failure)
        key = (caller.who, caller.model if scope is Scope.MODEL else None)
        # One that let this request pass has learnt it already, unless it was forgotten meanwhile.
        if scope not in {None, Scope.API} and not (key in passed and key in self._limits):
            self._limit(key, caller).failed(failure)

    def failed(self, failure: Failure) -> None:
        """Takes note of an answer that broke after the admission had ended."""
        self._api.failed(failure)

    def refused(self, failure: Failure, caller: Caller) -> None:
        """Takes note of a refused credential, whatever it was that was asked for."""
        if failure.kind is FailureKind.AUTH:
            self._limit((caller.who, None), caller).failed(failure)

    @property
    def refusal(self) -> str:
        """Why the credential of ours is not used any more, in words; "" where none was refused."""
        limit = self._limits.get((self.ours, None))
        return limit.breaker.reason if limit is not None and limit.ours and limit.breaker.dead else ""

    def ended_well(self, caller: Caller) -> None:
        """An answer for this caller has come whole."""
        for key, breaker in self._concerning(caller):
            breaker.ended_well()
            if key is not None and breaker.untouched:
                del self._limits[key]

    def forgive(self) -> None:
        """Forgets refused credentials: they are to be tried once more."""
        self._limits = {key: limit for key, limit in self._limits.items() if not limit.breaker.dead}

    def _concerning(self, caller: Caller) -> Sequence[tuple[_Key | None, CircuitBreaker]]:
        if not self._limits:
            return self._everybodys
        found = [*self._everybodys]
        now = self._monotonic()
        for key in ((caller.who, None), (caller.who, caller.model)):
            if limit := self._limits.get(key):
                limit.used = now
                found.append((key, limit.breaker))
        return found

    def _limit(self, key: _Key, caller: Caller) -> CircuitBreaker:
        limit = self._limits.get(key)
        if limit is None:
            if len(self._known()) >= _MOST:
                del self._limits[next(iter(self._limits))]
            limit = self._limits[key] = _Limit(self._new(_scope_of(key)), caller.ours, self._monotonic())
        return limit.breaker

    def _new(self, scope: Scope) -> CircuitBreaker:
        return CircuitBreaker(
            self._upstream,
            self._settings,
            concerns=partial(_concerns, scope),
            monotonic=self._monotonic,
            clock=self._clock,
        )

    def _known(self) -> dict[_Key, _Limit]:
        """What is remembered, without the limits of clients that have not come for long."""
        if self._limits:
            since = self._monotonic() - FORGOTTEN_AFTER
            self._limits = {key: limit for key, limit in self._limits.items() if limit.ours or limit.used > since}
        return self._limits

    def _replaced(self, who: int) -> None:
        """A credential of ours has taken another's place, whose limits are over with it."""
        self.ours = who
        self._limits = {key: limit for key, limit in self._limits.items() if not limit.ours or key[0] == who}


def _scope_of(key: _Key) -> Scope:
    return Scope.CREDENTIAL if key[1] is None else Scope.MODEL


def _concerns(scope: Scope, failure: Failure) -> bool:
    return _scope(failure) is scope


def _scope(failure: Failure) -> Scope | None:
    """Whose affair a failure is; None where no breaker cares."""
    match failure.handling.breaker:
        case BreakerEffect.IGNORE:
            return None
        case BreakerEffect.COUNT:
            return Scope.API
    # Rates are counted model by model.
    of_one_model = failure.kind is FailureKind.FORBIDDEN or failure.of_one_model or failure.is_moments_limit
    return Scope.MODEL if of_one_model else Scope.CREDENTIAL
