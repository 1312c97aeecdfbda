"""`piaa app`: the page for people who do not program."""

from __future__ import annotations

import secrets
import socket
import tempfile
import webbrowser
from pathlib import Path
from typing import Annotated, Any

import typer

from piaa.cli import options
from piaa.cli.console import output, shows_errors
from piaa.errors import InputError

HOST = "127.0.0.1"  # no other machine is let in


@shows_errors
def app(
    root: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="The page may open this folder and those in it.")
    ] = Path("~"),
    classifier: Annotated[
        Path | None, typer.Option(help="A file of 'piaa fit'; without it, words are typed into the page.")
    ] = None,
    model: options.Model = "embedded",
    pretrained: options.Pretrained = None,
    quality: options.RunQuality = None,
    other_words: options.OtherWords = None,
    device: options.Device = "auto",
    engine: options.EngineName = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 0,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")] = True,
) -> None:
    """Open a page in the browser: choose pictures, type words, look at labels, correct them, take them away."""
    try:
        import uvicorn

        from piaa.app.places import Root
        from piaa.app.server import make_app
        from piaa.app.session import Session
        from piaa.app.work import Settings
    except ModuleNotFoundError as error:
        raise InputError(f"the page needs {error.name}: in a checkout: pip install -e '.[app]'") from error
    if classifier is not None and not classifier.is_file():
        raise InputError(f"{classifier}: no such file; 'piaa fit' writes classifiers")
    if classifier is not None and other_words is not None:
        raise InputError("a classifier has its other words in it: leave --other-words out beside --classifier")
    others = tuple(options.parse_other_words(other_words))
    with tempfile.TemporaryDirectory(prefix="piaa-app-") as own, socket.socket() as listener:
        settings = Settings(classifier, model, pretrained, device, engine, quality, others)
        session = Session(settings, Path(own), Root.at(root))
        _listen(listener, port)
        host = f"{HOST}:{listener.getsockname()[1]}".removesuffix(":80")  # as browsers write it
        key, once = secrets.token_urlsafe(24), secrets.token_urlsafe(24) if browser else ""
        _say(f"the page is at http://{host}/?key={key}")
        _say("stop it with Ctrl-C; pictures stay on this machine, and nothing is kept that you did not take away")
        if browser:
            webbrowser.open(f"http://{host}/?key={once}")
        config: Any = uvicorn.Config(
            make_app(session, key, host, once), log_level="warning", access_log=False, timeout_graceful_shutdown=2
        )
        uvicorn.Server(config).run(sockets=[listener])


def _listen(listener: socket.socket, port: int) -> None:
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(128)  # a browser that comes before the server is ready waits
    except OSError as error:
        raise InputError(f"cannot listen at {HOST}:{port}: {error.strerror or error}; choose another --port") from error


def _say(text: str) -> None:
    output.print(text, markup=False, highlight=False, soft_wrap=True)
