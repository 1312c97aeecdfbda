"""`piaa models`: what can be used, what is on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from piaa.cli.console import output, shows_errors


@shows_errors
def models(
    check: Annotated[str | None, typer.Option(help="Run the self-test on this model.")] = None,
    pretrained: Annotated[str | None, typer.Option(help="Tag or checkpoint for --check.")] = None,
) -> None:
    """List the models that can be used, or check one."""
    from rich.table import Table

    from piaa.vision.models import list_models, load_model, self_test

    if check:
        report = self_test(load_model(check, pretrained, device="auto", precision="fp32"))
        output.print(f"{report.model} on {report.device}, {report.seconds:.1f} s", highlight=False)
        for line in report.checks:
            output.print(str(line), markup=False, highlight=False)
        raise typer.Exit(0 if report.passed else 1)
    table = Table("model", "tags of --pretrained", "parameters", "grid", "width", "on this machine", title="Models")
    for info in list_models():
        table.add_row(
            info.name,
            info.unsupported or _shortened(info.tags),
            f"{info.parameters / 1e6:.1f} M",
            f"{info.grid[0]} x {info.grid[1]}",
            str(info.width),
            _shortened(info.on_this_machine),
        )
    output.print(table)


def _shortened(tags: tuple[str, ...], most: int = 4) -> str:
    more = f" and {len(tags) - most} more" if len(tags) > most else ""
    return ", ".join(tags[:most]) + more
