"""`ferline weights ...`"""

from typing import Annotated

import typer

from flows.console import console, emit, quiet_stdout

weights_app = typer.Typer(help="Pretrained weights for sites that reach no hub.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output and nothing else.")]


@weights_app.callback()
def weights() -> None:
    """Pretrained weights for sites that reach no hub."""


@weights_app.command(epilog="Example: ferline weights mirror google/vit-base-patch16-224-in21k")
def mirror(
    name: Annotated[str, typer.Argument(help="Hub id, or a local folder in the hub's layout.")],
    revision: Annotated[str | None, typer.Option(help="Commit or tag of the hub's repository.")] = None,
    as_json: Json = False,
) -> None:
    """Copy a model's weights into the store; recipes name them by the URI it prints."""
    from flows.weights import mirror as copy

    with quiet_stdout(as_json):
        uri = copy(name, revision)
    if as_json:
        emit({"uri": uri})
        return
    console.print(f"{uri}\nuse it with --set model.pretrained={uri}", highlight=False, soft_wrap=True)
