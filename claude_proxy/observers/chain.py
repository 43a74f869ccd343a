"""Several observers as one; none can hurt the exchange or another."""

import logging
from collections.abc import Callable, Sequence

from claude_proxy.exchange import Attempt, Exchange, Observer
from claude_proxy.failures import Failure

_log = logging.getLogger(__name__)


class ObserverChain:
    """Tells each observer in order. A fault of one is logged, and the others are told all the same."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = tuple(observers)

    def began(self, exchange: Exchange) -> None:
        self._tell(lambda observer: observer.began(exchange))

    def skipped(self, exchange: Exchange, upstream: str, failure: Failure) -> None:
        self._tell(lambda observer: observer.skipped(exchange, upstream, failure))

    def quota_read(self, exchange: Exchange, attempt: Attempt) -> None:
        self._tell(lambda observer: observer.quota_read(exchange, attempt))

    def attempt_failed(self, exchange: Exchange, attempt: Attempt) -> None:
        self._tell(lambda observer: observer.attempt_failed(exchange, attempt))

    def closed(self, exchange: Exchange) -> None:
        self._tell(lambda observer: observer.closed(exchange))

    def _tell(self, what: Callable[[Observer], None]) -> None:
        for observer in self._observers:
            try:
                what(observer)
            except Exception as error:
                # The place is told, and not the error's repr: that of a failed decoding quotes all that it was given.
                fields = {"observer": type(observer).__name__}
                _log.error("observer_failed", exc_info=error, extra={"fields": fields})
