"""The process: uvicorn around the application, ended in order by SIGTERM or Ctrl-C."""

from __future__ import annotations

import logging
import signal
import socket
from types import FrameType

import uvicorn

from piaa.errors import InputError
from piaa.serve.app import Service, build_app
from piaa.serve.settings import CONNECTIONS

IDLE = 75
"""Seconds that a connection without a request stays open: longer than clients keep theirs."""
LAST = 5
"""Seconds beyond a request's own time that a drain waits."""


class _Server(uvicorn.Server):
    """Tells the service at once that the end has come, so that /ready says so on open connections."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self.service = service

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop to listen; requests underway are answered."""
        self.service.draining = True
        super().handle_exit(sig, frame)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 is any that is free.

    Raises:
        InputError: when the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise InputError(f"{host}:{port}: cannot listen there: {error.strerror or error}") from error


def run(service: Service, listener: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT: then no new connections, every request underway is answered, and this returns."""
    config = uvicorn.Config(
        build_app(service),
        log_config=None,
        access_log=False,
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=int(service.settings.timeout) + LAST,
        server_header=False,
        timeout_keep_alive=IDLE,
    )
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    before = {sig: signal.signal(sig, _nothing) for sig in (signal.SIGTERM, signal.SIGINT)}
    try:  # uvicorn raises the signal again at the end, which then does nothing: the drain is the answer to it
        _Server(config, service).run([listener])
    finally:
        for sig, handler in before.items():
            signal.signal(sig, handler)


def _nothing(sig: int, frame: FrameType | None) -> None:
    """Between the start and uvicorn's own handlers nothing is underway."""
