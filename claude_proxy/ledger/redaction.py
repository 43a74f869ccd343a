"""Secrets taken out of what is stored, in every spelling that JSON has for them."""

from collections.abc import Callable

_WINDOW = 256 << 10  # bytes that are looked through at once, in a quarter of a millisecond


class Redaction:
    """Replaces secrets by as many other characters: what is put into a block's hole stays in its place."""

    def __init__(self, secrets: frozenset[str], breathe: Callable[[], object] = lambda: None) -> None:
        self.secrets = secrets
        spelt: set[bytes] = set()
        for secret in secrets:
            # As it stands, and as JSON may write it.
            escaped = secret.replace("\\", "\\\\").replace('"', '\\"')
            spelt.update(
                text.encode("utf-8", "surrogatepass") for text in (secret, escaped, escaped.replace("/", "\\/"))
            )
        self._spelt = sorted(spelt - {b""}, key=len, reverse=True)
        # Where none of these stands, none of the others does: each has one of these in it.
        self._shortest = [one for one in self._spelt if not any(other in one for other in spelt - {one, b""})]
        self._breathe = breathe
        self.altered = False

    def __call__(self, text: bytes) -> bytes:
        if not self._stand_in(text):
            return text
        self.altered = True
        for secret in self._spelt:
            text = text.replace(secret, b"[redacted]".ljust(len(secret), b"*")[: len(secret)])
        return text

    def _stand_in(self, text: bytes) -> bool:
        """Looks through a window at a time: a search holds the interpreter's lock. `find`, since `in` first raises and
        catches an error for whatever is no number."""
        for at in range(0, len(text), _WINDOW):
            for secret in self._shortest:
                if at:
                    self._breathe()
                if text.find(secret, at, at + _WINDOW + len(secret) - 1) >= 0:
                    return True
        return False
