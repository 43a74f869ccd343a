"""A group of commands, each imported only when it is asked for: aiohttp alone takes 300 ms, all of them 150."""

import warnings
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from claude_proxy.commands.options import INTERRUPTED


class LazyGroup(click.Group):
    """`table` says where each command lies, as `module:attribute`, in the order in which help lists them."""

    def __init__(self, *args: Any, table: Mapping[str, str], **more: Any) -> None:
        super().__init__(*args, **more)
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = self.table.get(cmd_name)
        if place is None:
            return None
        module, _, attribute = place.partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command), f"{place} is no command"
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            warnings.simplefilter("ignore", ResourceWarning)  # what it had open is closed with its end
            click.echo(err=True)  # the terminal has ^C in its last line
            ctx.exit(INTERRUPTED)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Of a name that is not there the nearest are told, which click would look for among those imported."""
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as unknown:
            raise click.NoSuchCommand(unknown.command_name, possibilities=self.table, ctx=ctx) from None
