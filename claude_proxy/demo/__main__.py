"""`python -m claude_proxy.demo`: the demo without the rest of the command line."""

import os


def main() -> None:
    """Runs the demo."""
    # Before aiohttp is imported, which makes its TLS contexts then: they would write every session's keys there.
    os.environ.pop("SSLKEYLOGFILE", None)
    from claude_proxy.demo.command import demo

    demo(prog_name="claude-proxy demo")


if __name__ == "__main__":
    main()
