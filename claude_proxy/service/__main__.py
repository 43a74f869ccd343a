"""`python -m claude_proxy.service`: the commands of the service alone."""

from claude_proxy.service.commands import service

if __name__ == "__main__":
    service(prog_name="claude-proxy service")
