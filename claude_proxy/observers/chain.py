"""Several observers as one; none can hurt the exchange or another."""

import logging
from collections.abc import Sequence

from claude_proxy.exchange import Attempt, Exchange, Observer
from claude_proxy.failures import Failure

_log = logging.getLogger(__name__)


class ObserverChain:
    """Tells each observer in order. A fault of one is logged, and the others are told all the same."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        # Most watch few of these, and who does not watch need not be called.
        self._began = [each for each in observers if type(each).began is not Observer.began]
        self._skipped = [each for each in observers if type(each).skipped is not Observer.skipped]
        self._quota_read = [each for each in observers if type(each).quota_read is not Observer.quota_read]
        self._attempt_failed = [each for each in observers if type(each).attempt_failed is not Observer.attempt_failed]
        self._closed = [each for each in observers if type(each).closed is not Observer.closed]

    def began(self, exchange: Exchange) -> None:
        for observer in self._began:
            try:
                observer.began(exchange)
            except Exception as error:
                _failed(observer, error)

    def skipped(self, exchange: Exchange, upstream: str, failure: Failure) -> None:
        for observer in self._skipped:
            try:
                observer.skipped(exchange, upstream, failure)
            except Exception as error:
                _failed(observer, error)

    def quota_read(self, exchange: Exchange, attempt: Attempt) -> None:
        for observer in self._quota_read:
            try:
                observer.quota_read(exchange, attempt)
            except Exception as error:
                _failed(observer, error)

    def attempt_failed(self, exchange: Exchange, attempt: Attempt) -> None:
        for observer in self._attempt_failed:
            try:
                observer.attempt_failed(exchange, attempt)
            except Exception as error:
                _failed(observer, error)

    def closed(self, exchange: Exchange) -> None:
        for observer in self._closed:
            try:
                observer.closed(exchange)
            except Exception as error:
                _failed(observer, error)


def _failed(observer: Observer, error: Exception) -> None:
    # The place is told, and not the error's repr: that of a failed decoding quotes all that it was given.
    fields = {"observer": type(observer).__name__}
    _log.error("observer_failed", exc_info=error, extra={"fields": fields})
