"""`piaa app`: the page for people who do not program."""

from __future__ import annotations

import secrets
import tempfile
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from piaa.cli import options
from piaa.cli.console import output, shows_errors
from piaa.errors import InputError

LOCAL = {"127.0.0.1", "localhost"}


@shows_errors
def app(
    classifier: Annotated[
        Path | None, typer.Option(help="A classifier of 'piaa fit'; without it words are typed into the page.")
    ] = None,
    model: options.Model = "embedded",
    pretrained: options.Pretrained = None,
    device: options.Device = "auto",
    engine: options.EngineName = "eager",
    folder: Annotated[Path | None, typer.Option(help="Begin with the pictures of this folder.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen at; others than 127.0.0.1 let other machines in.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 0,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")] = True,
) -> None:
    """Open a page in the browser: choose pictures, type words, look at labels, correct them, take them away."""
    try:
        import uvicorn

        from piaa.app.server import make_app
        from piaa.app.session import Session, Settings
    except ModuleNotFoundError as error:
        raise InputError(f"the page needs {error.name}: pip install 'piaa[app]'") from error
    import socket

    if classifier is not None and not classifier.is_file():
        raise InputError(f"{classifier}: no such file; 'piaa fit' writes classifiers")
    with tempfile.TemporaryDirectory(prefix="piaa-app-") as own, socket.socket() as listener:
        session = Session(Settings(classifier, model, pretrained, device, engine), Path(own))
        if folder:
            session.use_folder(str(folder))
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
        except OSError as error:
            raise InputError(f"cannot listen at {host}:{port}: {error.strerror or error}") from error
        key = secrets.token_urlsafe(24)
        shown = "127.0.0.1" if host in ("", "0.0.0.0") else host
        address = f"http://{shown}:{listener.getsockname()[1]}/?key={key}"
        output.print(f"the page is at {address}", markup=False, highlight=False, soft_wrap=True)
        output.print("stop it with Ctrl-C; pictures stay on this machine", markup=False, highlight=False)
        if browser:
            webbrowser.open(address)
        hosts = set() if host in ("", "0.0.0.0") else LOCAL | {host}
        config = uvicorn.Config(make_app(session, key, hosts), log_level="warning", access_log=False)
        uvicorn.Server(config).run(sockets=[listener])
