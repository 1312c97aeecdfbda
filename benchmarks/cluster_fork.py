"""Ray workers as forks of one process that has imported all but Ray already: a worker starts in a fraction of the time.

Each raylet runs this file in the place of Ray's own `setup_worker.py`. It asks the process that `serve` runs in for a
fork that becomes the worker, and ends when that does; the fork ends when it does.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable

ADDRESS = "PIAA_CLUSTER_FORKS"


def ask(arguments: list[str]) -> None:
    """A worker with these arguments; returns when it has ended."""
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(os.environ[ADDRESS])
        text = json.dumps({"arguments": arguments, "environment": dict(os.environ)}).encode()
        socket.send_fds(line, [struct.pack("<Q", len(text))], [1, 2])
        line.sendall(text)
        line.recv(1)


def serve(warm: Callable[[], object]) -> int:
    """Fork a process that imports, warms up and then waits for `ask`; its id. The address is in the environment."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(os.environ[ADDRESS])
    listening.listen(64)
    pid = os.fork()
    if pid == 0:
        try:
            _wait(listening, warm)
        finally:
            os._exit(1)
    listening.close()
    return pid


def _wait(listening: socket.socket, warm: Callable[[], object]) -> None:
    warm()  # without Ray, which reads the environment when it is imported
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nothing is left of those that end
    while True:
        line, _ = listening.accept()
        head, outputs, _, _ = socket.recv_fds(line, 8, 2)
        if os.fork() == 0:
            listening.close()
            become(line, head, outputs)
        line.close()
        for output in outputs:
            os.close(output)


def become(line: socket.socket, head: bytes, outputs: list[int]) -> None:
    """Be the worker that was asked for."""
    import runpy

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    size, text = struct.unpack("<Q", head)[0], b""
    while len(text) < size:
        text += line.recv(size - len(text))
    wanted = json.loads(text)
    for output, target in zip(outputs, (1, 2), strict=True):
        os.dup2(output, target)
    for name in set(os.environ) - set(wanted["environment"]):
        del os.environ[name]
    os.environ.update(wanted["environment"])
    threading.Thread(target=lambda: (line.recv(1), os._exit(1)), daemon=True).start()
    sys.argv = [name for name in wanted["arguments"] if not name.startswith(("--language=", "--serialized-runtime"))]
    sys.path[0] = os.path.dirname(sys.argv[0])
    code = 0
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as end:
        code = int(end.code or 0) if isinstance(end.code, int | None) else 1
    os._exit(code)


if __name__ == "__main__":
    ask(sys.argv[1:])
