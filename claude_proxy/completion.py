"""The command `completion` of both programs: what a shell must know to complete their commands and options."""

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion for a SHELL: bash, zsh or fish.

    \b
    Examples, for claude-proxy; proxy-toggle has the same command:
      eval "$(claude-proxy completion bash)"        a line for ~/.bashrc; bash 4.4 or newer
      eval "$(claude-proxy completion zsh)"         a line for ~/.zshrc, after compinit
      claude-proxy completion fish > ~/.config/fish/completions/claude-proxy.fish
    """
    root = context.find_root()
    name = str(root.info_name)
    made = get_completion_class(shell)
    assert made is not None, f"click knows no completion for {shell}"
    # As click itself calls the variable: the script asks the program with it set.
    variable = f"_{name.upper().replace('-', '_')}_COMPLETE"
    click.echo(made(root.command, {}, name, variable).source())
