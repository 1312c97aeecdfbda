"""`piaa models`: what can be used, what is on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from piaa.cli.console import output, shows_errors
from piaa.cli.options import Pretrained


@shows_errors
def models(
    check: Annotated[str | None, typer.Option(help="Run the self-test on this model.")] = None,
    pretrained: Pretrained = None,
    recommended: Annotated[
        bool, typer.Option("--recommended", help="Show a model for each purpose, by published figures.")
    ] = False,
) -> None:
    """List the models that can be used, or check one: is it here what its own library computes?"""
    from piaa.vision.models import list_models, load_model, self_test

    if recommended:
        _show_recommended()
        return
    if check:
        report = self_test(load_model(check, pretrained, device="auto", precision="fp32"))
        output.print(f"{report.model} on {report.device}, {report.seconds:.1f} s", markup=False, highlight=False)
        for one in report.checks:
            verdict = "passed" if one.passed else "FAILED"
            text = f"{verdict}  {one.name}: relative error {one.value:.1e}, at most {one.limit:.0e} is allowed"
            output.print(text, markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(0 if report.passed else 1)
    for info in list_models():
        size = f"{info.parameters / 1e6:.1f} million parameters, {info.grid[0]} x {info.grid[1]} patches"
        _line(f"{info.name}  ({size}, width {info.width})")
        if info.unsupported:
            _line(f"    {info.unsupported}")
        elif info.tags:
            _line(f"    --pretrained: {', '.join(info.tags)}")
        if info.on_this_machine:
            _line(f"    on this machine: {', '.join(info.on_this_machine)}")


def _show_recommended() -> None:
    from piaa.vision.models.recommended import RECOMMENDED

    _line("By figures that others have published, for whole images; none was measured by this project.")
    for one in RECOMMENDED:
        _line(f"{one.purpose}: --model {one.model} --pretrained {one.pretrained}")
        _line(f"    {one.published}")
        _line(f"    source: {one.source}")
        _line(f"    {one.remark}")


def _line(text: str) -> None:
    """Names that must be typed are never cut, nor broken by anything but the terminal itself."""
    output.print(text, markup=False, highlight=False, soft_wrap=True)
