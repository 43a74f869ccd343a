"""One errand at the Secret Service in a process of its own; secrets come by stdin, never in the arguments."""

import sys
from contextlib import closing

import keyring
import secretstorage  # type: ignore[import-not-found,unused-ignore]  # on Linux only
from jeepney import (  # type: ignore[import-not-found,import-untyped,unused-ignore]
    DBusAddress,
    MessageType,
    new_method_call,
)
from secretstorage.util import (  # type: ignore[import-not-found,unused-ignore]
    format_secret,
    open_session,
)


def lock() -> None:
    with closing(secretstorage.dbus_init()) as bus:
        secretstorage.get_default_collection(bus).lock()


def unlock(password: str) -> None:
    """Unlocks without a dialog, by the call that gnome-keyring keeps for its own tests and for PAM."""
    with closing(secretstorage.dbus_init()) as bus:
        service = DBusAddress(
            "/org/freedesktop/secrets",
            bus_name="org.freedesktop.secrets",
            interface="org.gnome.keyring.InternalUnsupportedGuiltRiddenInterface",
        )
        secret = format_secret(open_session(bus), password.encode(), "text/plain")
        call = new_method_call(
            service,
            "UnlockWithMasterPassword",
            "o(oayays)",
            ("/org/freedesktop/secrets/collection/login", secret),
        )
        reply = bus.send_and_get_reply(call, timeout=10)
        if reply.header.message_type is not MessageType.method_return:
            raise SystemExit(f"not unlocked: {reply.body}")


def main() -> None:
    match sys.argv[1:]:
        case ["store", service, account]:
            keyring.set_password(service, account, sys.stdin.read())
        case ["read", service, account]:
            sys.stdout.write(keyring.get_password(service, account) or "")
        case ["lock"]:
            lock()
        case ["unlock"]:
            unlock(sys.stdin.read())
        case other:
            raise SystemExit(f"no such errand: {other}")


if __name__ == "__main__":
    main()
