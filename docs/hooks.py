"""Written when the site is built: the page of the command line, from the commands themselves."""

from __future__ import annotations

from typing import Any

from typer.main import get_command

MARKER = "<!-- commands -->"


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Put the commands in the place of the marker."""
    return markdown.replace(MARKER, commands_markdown()) if MARKER in markdown else markdown


def commands_markdown() -> str:
    """A section for each command: what it does, its arguments and its options."""
    from piaa.cli.main import app

    root = get_command(app)
    sections = [_section("piaa", root)]
    for name, command in root.commands.items():  # type: ignore[attr-defined]
        sections.append(_section(f"piaa {name}", command))
        for inner, part in getattr(command, "commands", {}).items():
            sections.append(_section(f"piaa {name} {inner}", part))
    return "\n\n".join(sections)


def _section(title: str, command: Any) -> str:
    rows = [_row(parameter) for parameter in command.params if not getattr(parameter, "hidden", False)]
    table = ["| name | what | default |", "|---|---|---|", *rows] if rows else []
    return "\n".join([f"## {title}", "", (command.help or "").strip(), "", *table])


def _row(parameter: Any) -> str:
    option = parameter.param_type_name == "option"
    name = ", ".join(f"`{word}`" for word in parameter.opts) if option else f"`{parameter.name.upper()}`"
    default = parameter.default
    if parameter.required:
        shown = "required"
    else:
        shown = "" if default in (None, False, []) or callable(default) or "Unset" in repr(default) else f"`{default}`"
    text = (getattr(parameter, "help", "") or "").replace("|", "\\|").replace("\n", " ")
    return f"| {name} | {text} | {shown} |"
