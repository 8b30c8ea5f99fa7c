"""The measurements of a start: imports, a new client and what it takes, its first call."""

import gc
import os
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from typing import Final

import httpx

from consul_onex import ConsulClient
from tests.bench.contestants import KEY, ONEX, REFERENCE
from tests.bench.measure import Result, Sample, Samples, compared, cpu

DEPENDENCIES: Final = "its dependencies"

IMPORTS: Final = {
    ONEX: "import consul_onex",
    DEPENDENCIES: "import httpx, pydantic, pydantic_settings, anyio",
    REFERENCE: "import httpx",
}

# What there is before the clock runs, and what it times.
FIRST: Final = {
    ONEX: (
        "import anyio; from consul_onex import ConsulClient",
        "async def main():\n"
        "    async with ConsulClient({url!r}) as c:\n"
        "        await c.kv.get({key!r})\n"
        "anyio.run(main)",
    ),
    REFERENCE: (
        "import anyio, base64, httpx",
        "async def main():\n"
        "    async with httpx.AsyncClient(base_url={url!r}) as http:\n"
        "        pair = (await http.get('/v1/kv/{key}')).json()[0]\n"
        "        base64.b64decode(pair['Value'])\n"
        "anyio.run(main)",
    ),
}

CLIENTS: Final = 50


def imports(*, rounds: int) -> list[Result]:
    """In a new process each; the first round warms the files."""
    scripts = {name: ("", statement) for name, statement in IMPORTS.items()}
    return started("import", scripts, rounds=rounds, reference=DEPENDENCIES)


def first_gets(url: str, *, rounds: int) -> list[Result]:
    """A client and its first read in a new process, without the imports before it."""
    scripts = {
        name: (before, script.format(url=url, key=KEY)) for name, (before, script) in FIRST.items()
    }
    return started("first get of a process", scripts, rounds=rounds, reference=REFERENCE)


def started(
    what: str, scripts: dict[str, tuple[str, str]], *, rounds: int, reference: str
) -> list[Result]:
    samples: Samples = {name: [] for name in scripts}
    for number in range(rounds + 1):
        for name, (before, timed) in scripts.items():
            sample = in_a_new_process(before, timed)
            if number:
                samples[name].append(sample)
    return list(compared(what, samples, reference=reference))


def in_a_new_process(before: str, timed: str) -> Sample:
    script = (
        f"import time; exec({before!r}); wall, cpu = time.perf_counter(), time.process_time(); "
        f"exec({timed!r}); print(time.process_time() - cpu, time.perf_counter() - wall)"
    )
    command = [sys.executable, "-c", script]
    # What is installed was compiled when it was installed.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    cpu_time, wall_time = map(float, done.stdout.split())
    return {"CPU": cpu_time, "time": wall_time}


def clients(url: str, *, rounds: int) -> list[Result]:
    """What it takes to make a client, and what one takes that does nothing."""
    them: dict[str, Callable[[], object]] = {
        ONEX: lambda: ConsulClient(url),
        REFERENCE: lambda: httpx.AsyncClient(base_url=url),
    }
    samples: Samples = {name: [] for name in them}
    for _ in range(rounds):
        for name, make in them.items():
            made, used, started = [make()], cpu(), time.perf_counter()
            made += [make() for _ in range(CLIENTS)]
            used, took = cpu() - used, time.perf_counter() - started
            gc.collect()
            tracemalloc.start()
            made += [make() for _ in range(CLIENTS)]
            gc.collect()
            size, _ = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            samples[name].append(
                {"CPU": used / CLIENTS, "time": took / CLIENTS, "memory": size / CLIENTS}
            )
    return list(compared("a new client", samples))
