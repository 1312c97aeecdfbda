"""Load on `piaa serve`: 1, 8 and 64 clients beside offline tagging, ten times too much for a minute, broken images.

python benchmarks/load.py --out load.json

The service is a process of its own, the clients (aiohttp) live in this one, on the same processors. Offline tagging and
64 clients take turns, and a ratio is taken within a turn. Every answer is compared with that of `piaa tag`. With a busy
machine look at the processor time an image, which others disturb less than the clock.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from piaa.bench.machine import describe
from piaa.cli.allocator import keep_freed_memory
from piaa.jobs import tag_job
from piaa.recognizer import Recognizer
from piaa.scenes import object_names
from piaa.scenes.folders import write_scene_folder

QUEUE = 256
WHOLE = {
    "application/json": json.dumps({"images": [{"data": "aGVsbG8="}], "labels": ["cat"], "top_k": 2}).encode(),
    "multipart/form-data; boundary=x": b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
    b"GIF89a\r\n--x--\r\n",
}
TICK = os.sysconf("SC_CLK_TCK")


@dataclass
class World:
    """The photographs, and what `piaa tag` says of them."""

    images: list[tuple[str, bytes]]
    rows: dict[str, Any]
    classifier: Path


@dataclass
class Tally:
    """What clients saw."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    wrong: int = 0
    lost: Counter[str] = field(default_factory=Counter)

    def percentile(self, share: float) -> float:
        return sorted(self.seconds)[min(len(self.seconds) - 1, int(share * len(self.seconds)))] if self.seconds else 0.0


class Server:
    """`piaa serve` and what the kernel says of its process."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process, self.url = process, url

    @property
    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    @property
    def rss_mib(self) -> float:
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@contextmanager
def serving(classifier: Path, longest: float) -> Iterator[Server]:
    command = [sys.executable, "-m", "piaa", "serve", str(classifier), "--port", "0", "--queue", str(QUEUE)]
    environment = {**os.environ, "COLUMNS": "500"}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    end = threading.Timer(longest, process.kill)
    end.start()
    try:
        assert process.stderr is not None
        url = next(found[1] for line in process.stderr if (found := re.search(r"serving .*? at (http://\S+)", line)))
        threading.Thread(target=process.stderr.read, daemon=True).start()
        yield Server(process, url)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(90)
        end.cancel()


async def ask(session: aiohttp.ClientSession, url: str, world: World, chosen: list[int], tally: Tally) -> None:
    """One request with the chosen images; its answer is compared."""
    form = aiohttp.FormData()
    for place in chosen:
        form.add_field("image", world.images[place][1], filename=world.images[place][0])
    begin = time.perf_counter()
    try:
        async with session.post(f"{url}/v1/tag", data=form) as response:
            answer = await response.json()
    except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
        tally.lost[type(error).__name__] += 1
        return
    tally.statuses[response.status] += 1
    if response.status == 200:
        tally.seconds.append(time.perf_counter() - begin)
        tally.wrong += any(one["labels"] != world.rows[one["name"]] for one in answer["images"])


async def closed(server: Server, world: World, clients: int, per_request: int, seconds: float) -> dict[str, Any]:
    """So many clients, each sends its next request when the last is answered."""
    tally, end = Tally(), time.perf_counter() + seconds

    async def client(seed: int, session: aiohttp.ClientSession) -> None:
        dice = random.Random(seed)
        while time.perf_counter() < end:
            await ask(session, server.url, world, dice.choices(range(len(world.images)), k=per_request), tally)

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await ask(session, server.url, world, [0], Tally())
        cpu, begin = server.cpu_seconds, time.perf_counter()
        await asyncio.gather(*(client(seed, session) for seed in range(clients)))
        took = time.perf_counter() - begin
    images = tally.statuses[200] * per_request
    return {
        "clients": clients,
        "images_per_request": per_request,
        "images_per_s": images / took,
        "cpu_ms_per_image": 1000 * (server.cpu_seconds - cpu) / max(images, 1),
        "p50_ms": 1000 * tally.percentile(0.5),
        "p99_ms": 1000 * tally.percentile(0.99),
        "statuses": dict(tally.statuses),
        "wrong": tally.wrong,
        "lost": dict(tally.lost),
    }


async def overload(server: Server, world: World, rate: float, seconds: float) -> dict[str, Any]:
    """Requests of one image at a fixed rate, whether or not the ones before were answered."""
    tally, dice, memory, waiting = Tally(), random.Random(0), [], set()
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=90)
    ) as session:
        begin = time.perf_counter()
        sent, skipped, sampled = 0, 0, 0.0
        while (now := time.perf_counter() - begin) < seconds:
            while sent + skipped < now * rate:
                if len(waiting) < 2000:
                    task = asyncio.create_task(
                        ask(session, server.url, world, [dice.randrange(len(world.images))], tally)
                    )
                    waiting.add(task)
                    task.add_done_callback(waiting.discard)
                    sent += 1
                else:
                    skipped += 1  # this client cannot hold more; said in the result
            if now - sampled >= 0.5:
                memory.append(server.rss_mib)
                sampled = now
            await asyncio.sleep(0.002)
        await asyncio.gather(*waiting)
        alive, after = server.process.poll() is None, Tally()
        await ask(session, server.url, world, [0], after)
    third = max(1, len(memory) // 3)
    return {
        "asked_per_s": rate,
        "sent_per_s": sent / seconds,
        "seconds": seconds,
        "statuses": dict(tally.statuses),
        "lost": dict(tally.lost),
        "wrong": tally.wrong,
        "tagged_per_s": tally.statuses[200] / seconds,
        "p50_ms": 1000 * tally.percentile(0.5),
        "p99_ms": 1000 * tally.percentile(0.99),
        "rss_mib_first_third": max(memory[:third]),
        "rss_mib_last_third": max(memory[-third:]),
        "alive_after": alive,
        "right_after": after.statuses[200] == 1 and after.wrong == 0,
    }


async def broken(server: Server, world: World, count: int) -> dict[str, Any]:
    """Images cut and overwritten at random, now and then the whole request: no answer may be a 500."""
    dice, statuses, codes = random.Random(3), Counter[int](), Counter[str]()
    async with aiohttp.ClientSession() as session:
        for start in range(0, count, 20):
            form = aiohttp.FormData()
            for place in range(start, min(start + 20, count)):
                form.add_field("image", damaged(world.images[place % len(world.images)][1], dice), filename=str(place))
            data: Any = form
            headers = {}
            if start % 200 == 100:  # the request itself is damaged
                kind = dice.choice(["application/json", "multipart/form-data; boundary=x"])
                data, headers = damaged(WHOLE[kind], dice), {"Content-Type": kind}
            async with session.post(f"{server.url}/v1/tag", data=data, headers=headers) as response:
                statuses[response.status] += 1
                answer = await response.json()
            for one in answer.get("images", []):
                codes[one["error"]["code"] if one["error"] else "tagged"] += 1
    return {"images": count, "statuses": dict(statuses), "outcomes": dict(codes)}


def damaged(data: bytes, dice: random.Random) -> bytes:
    changed = bytearray(data)
    if dice.random() < 0.6:
        del changed[dice.randrange(len(changed)) :]
    for _ in range(dice.randint(0, 40)):
        if changed:
            changed[dice.randrange(len(changed))] = dice.randrange(256)
    return bytes(changed)


def make_world(folder: Path, images: int) -> tuple[World, Recognizer]:
    write_scene_folder(folder / "learn", 31, "unlabelled", 200)
    Recognizer(object_names()).fit(folder / "learn").save(folder / "c.piaa")
    recognizer = Recognizer.load(folder / "c.piaa")  # as the service does
    write_scene_folder(folder / "images", 32, "unlabelled", images)
    offline(recognizer, folder)
    _, *rows = [json.loads(line) for line in (folder / "tags.jsonl").read_text().splitlines()]
    files = [(Path(row["path"]).name, Path(row["path"]).read_bytes()) for row in rows]
    return World(files, {Path(row["path"]).name: row["labels"] for row in rows}, folder / "c.piaa"), recognizer


def offline(recognizer: Recognizer, folder: Path) -> dict[str, float]:
    """Images a second of `piaa tag`'s own job, and its processor time."""
    scorer, cpu = recognizer.scorer(), time.process_time()
    summary = tag_job(
        scorer, folder / "images", out=folder / "tags.jsonl", batch_size=scorer.setup.decoded_together, workers=2
    )
    return {
        "images_per_s": summary.tagged / summary.seconds,
        "cpu_ms_per_image": 1000 * (time.process_time() - cpu) / summary.tagged,
    }


def ratios(turns: list[dict[str, Any]], key: Callable[[dict[str, Any]], float]) -> dict[str, float]:
    values = [key(turn) for turn in turns]
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def table(result: dict[str, Any]) -> str:
    """The result as docs/service.md has it."""
    lines = ["| load | images a second | p50 | p99 | processor time an image |", "| --- | ---: | ---: | ---: | ---: |"]
    alone = [turn["offline"] for turn in result["turns"]]
    for one in (*alone, *result["loads"]):
        name = f"{one['clients']} clients, one image a request" if "clients" in one else "`piaa tag`'s job, no service"
        times = [f"{one[key] / 1000:.2f} s" if key in one else "" for key in ("p50_ms", "p99_ms")]
        lines.append(
            f"| {name} | {one['images_per_s']:.1f} | {times[0]} | {times[1]} | {one['cpu_ms_per_image']:.1f} ms |"
        )
    lines += ["", "| offline beside the service, in turns | median | least | most |", "| --- | ---: | ---: | ---: |"]
    for name, one in result.items():
        if isinstance(one, dict) and "median" in one:
            lines.append(f"| {name} | {one['median']:.2f} | {one['least']:.2f} | {one['most']:.2f} |")
    return "\n".join([*lines, "", json.dumps(result["broken"]), json.dumps(result["overload"])])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=12.0, help="of each load")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--overload", type=float, default=60.0, help="seconds of ten times the load")
    parser.add_argument("--broken", type=int, default=4000)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--show", type=Path, help="print an earlier result as tables, and measure nothing")
    arguments = parser.parse_args()
    if arguments.show:
        print(table(json.loads(arguments.show.read_text())))
        return
    keep_freed_memory()  # as the command line does
    result: dict[str, Any] = {"command": " ".join(sys.argv), "machine": describe(), "queue": QUEUE}
    with tempfile.TemporaryDirectory() as name:
        world, recognizer = make_world(Path(name), arguments.images)
        with serving(world.classifier, longest=1500) as server:
            run = asyncio.Runner()
            turns = []
            for _ in range(arguments.turns):
                alone = offline(recognizer, Path(name))
                one = run.run(closed(server, world, 64, 1, arguments.seconds))
                eight = run.run(closed(server, world, 16, 8, arguments.seconds))
                turns.append({"offline": alone, "64 clients": one, "16 clients, 8 images each": eight})
                print(json.dumps(turns[-1]), flush=True)
            result["turns"] = turns
            for case in ("64 clients", "16 clients, 8 images each"):
                result[f"{case}: throughput to offline"] = ratios(
                    turns, lambda turn, case=case: turn[case]["images_per_s"] / turn["offline"]["images_per_s"]
                )
                result[f"{case}: processor time, offline to served"] = ratios(
                    turns, lambda turn, case=case: turn["offline"]["cpu_ms_per_image"] / turn[case]["cpu_ms_per_image"]
                )
            result["loads"] = [run.run(closed(server, world, n, 1, arguments.seconds)) for n in (1, 8, 64)]
            result["broken"] = run.run(broken(server, world, arguments.broken))
            rate = 10 * max(load["images_per_s"] for load in result["loads"])
            result["overload"] = run.run(overload(server, world, rate, arguments.overload))
            run.close()
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
