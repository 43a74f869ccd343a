"""A stand-in of systemd that keeps one service for real: it starts the daemon, links what is enabled, and stops it.

What it needs itself lies outside the user's home.
"""

import sys
from pathlib import Path

from tests.service.programs import Programs

# `show` tells the state of the process as systemd would; one that nobody has waited for has ended all the same.
_SCRIPT = """
units="$HOME/.config/systemd/user"
alive() {{ [ -s {outside}/pid ] && case "$(ps -o stat= -p "$(cat {outside}/pid)")" in ""|Z*) false;; esac; }}
case "$*" in
  *" enable "*)
    mkdir -p "$units/default.target.wants" "$units/sockets.target.wants"
    ln -sf ../claude-proxy.service "$units/default.target.wants/"
    ln -sf ../claude-proxy.socket "$units/sockets.target.wants/";;
  *" disable "*)
    rm -f "$units/default.target.wants/claude-proxy.service" "$units/sockets.target.wants/claude-proxy.socket"
    rmdir "$units/default.target.wants" "$units/sockets.target.wants" 2>/dev/null || true;;
  *" start "*)
    alive || {{ cd {outside}; setsid {python} -m claude_proxy serve </dev/null >/dev/null 2>>{outside}/log &
    echo $! > {outside}/pid; }};;
  *" stop "*) alive && kill -TERM "$(cat {outside}/pid)";;
  *" show "*)
    if alive; then state=active pid=$(cat {outside}/pid); else state=inactive pid=0; fi
    printf 'LoadState=loaded\\nActiveState=%s\\nSubState=x\\nMainPID=%s\\nStatusText=\\n' $state "$pid";;
esac
exit 0
"""


def systemd_that_keeps_it(programs: Programs, outside: Path) -> None:
    """Puts it on the PATH of this user; `outside` is a directory of its own."""
    outside.mkdir(exist_ok=True)
    programs.put("systemctl", _SCRIPT.format(outside=outside, python=sys.executable))
    programs.put("loginctl", "echo yes")
