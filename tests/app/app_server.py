"""The page's server in a thread, on a free port of this machine, for one test."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


@contextmanager
def running(folder: Path, root: Path, **settings: Any) -> Iterator[tuple[Any, str]]:
    """Inside: the session and the address with the key. The page may open what is below `root`."""
    uvicorn = pytest.importorskip("uvicorn", reason="the page needs pip install 'piaa[app]'")
    pytest.importorskip("starlette", reason="the page needs pip install 'piaa[app]'")
    from piaa.app.places import Root
    from piaa.app.server import make_app
    from piaa.app.session import Session
    from piaa.app.work import Settings

    session = Session(Settings(**settings), folder, Root.at(root))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)  # so that nobody is turned away before the server looks
        host = f"127.0.0.1:{listener.getsockname()[1]}"
        config = uvicorn.Config(
            make_app(session, "the-key", host, "a-key-for-once"), log_level="error", timeout_graceful_shutdown=1
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield session, f"http://{host}/?key=the-key"
        finally:
            server.should_exit = True
            thread.join(10)
            assert not thread.is_alive()
