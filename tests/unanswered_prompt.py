"""A password dialog that nobody answers: takes gnome-keyring's request to ask, notes it in a file, and waits.

The bus starts it as org.gnome.keyring.SystemPrompter; it ends with the bus.
"""

import contextlib
import sys
from pathlib import Path

from jeepney import (  # type: ignore[import-not-found,import-untyped,unused-ignore]
    DBusAddress,
    HeaderFields,
    MessageType,
    new_method_call,
    new_method_return,
)
from jeepney.bus_messages import (  # type: ignore[import-not-found,import-untyped,unused-ignore]
    message_bus,
)
from jeepney.io.blocking import (  # type: ignore[import-not-found,import-untyped,unused-ignore]
    open_dbus_connection,
)


def main(notes: Path) -> None:
    bus = open_dbus_connection("SESSION")
    # Sent without waiting for the answer: the request to ask comes before it and would be lost.
    bus.send(message_bus.RequestName("org.gnome.keyring.SystemPrompter"))
    while True:
        message = bus.receive()
        if message.header.message_type is not MessageType.method_call:
            continue
        fields = message.header.fields
        match fields[HeaderFields.member]:
            case "BeginPrompting":
                bus.send(new_method_return(message))
                asking = DBusAddress(
                    message.body[0],
                    bus_name=fields[HeaderFields.sender],
                    interface="org.gnome.keyring.internal.Prompter.Callback",
                )
                bus.send(new_method_call(asking, "PromptReady", "sa{sv}s", ("", {}, "")))
            case "PerformPrompt":  # here a dialog would open; the answer to this call is the person's
                with notes.open("a") as file:
                    file.write("asked\n")
            case _:
                bus.send(new_method_return(message))


if __name__ == "__main__":
    with contextlib.suppress(ConnectionError):
        main(Path(sys.argv[1]))
