"""
The measurements of a start: imports, a new client and what it takes, its first call.

In processes of their own. `python -m tests.bench.start NAME URL` is the one that makes clients:
what a client holds of TLS is in no list of Python's, so the whole process is looked at.
"""

import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Final

import httpx

from consul_onex import ConsulClient
from tests.bench.contestants import FAST, KEY, ONEX, REFERENCE, present
from tests.bench.measure import Result, Sample, Samples, compared, cpu, resident

DEPENDENCIES: Final = "its dependencies"

IMPORTS: Final = {
    ONEX: "import consul_onex",
    DEPENDENCIES: "import httpx, pydantic, pydantic_settings, anyio",
    REFERENCE: "import httpx",
}

# What there is before the clock runs, and what it times.
OURS: Final = (
    "import anyio; from consul_onex import ConsulClient",
    "async def main():\n"
    "    async with ConsulClient({url!r}, http={http!r}) as c:\n"
    "        await c.kv.get({key!r})\n"
    "anyio.run(main)",
)
HTTPXS: Final = (
    "import anyio, base64, httpx",
    "async def main():\n"
    "    async with httpx.AsyncClient(base_url={url!r}) as http:\n"
    "        pair = (await http.get('/v1/kv/{key}')).json()[0]\n"
    "        base64.b64decode(pair['Value'])\n"
    "anyio.run(main)",
)
FIRST: Final = {ONEX: (OURS, "h11"), FAST: (OURS, "fast"), REFERENCE: (HTTPXS, "")}

CLIENT: Final[dict[str, Callable[[str], object]]] = {
    ONEX: lambda url: ConsulClient(url, http="h11"),
    REFERENCE: lambda url: httpx.AsyncClient(base_url=url),
}

CLIENTS: Final = 50

Scripts = dict[str, tuple[str, str]]


def imports(*, rounds: int) -> list[Result]:
    """In a new process each; the first round warms the files."""
    scripts: Scripts = {name: ("", statement) for name, statement in IMPORTS.items()}
    return started("import", scripts, rounds=rounds, reference=DEPENDENCIES)


def first_gets(url: str, *, rounds: int) -> list[Result]:
    """A client and its first read in a new process, without the imports before it."""
    scripts: Scripts = {}
    for name in present(*FIRST):
        (before, script), http = FIRST[name]
        scripts[name] = (before, script.format(url=url, key=KEY, http=http))
    return started("first get of a process", scripts, rounds=rounds, reference=REFERENCE)


def started(what: str, scripts: Scripts, *, rounds: int, reference: str) -> list[Result]:
    samples: Samples = {name: [] for name in scripts}
    for number in range(rounds + 1):
        for name, (before, timed) in scripts.items():
            sample = in_a_new_process(before, timed)
            if number:
                samples[name].append(sample)
    return list(compared(what, samples, reference=reference))


def in_a_new_process(before: str, timed: str) -> Sample:
    script = (
        f"import json, time; exec({before!r}); wall, cpu = time.perf_counter(), time.process_time()"
        f"; exec({timed!r}); cpu, wall = time.process_time() - cpu, time.perf_counter() - wall"
        "; print(json.dumps({'CPU': cpu, 'time': wall}))"
    )
    return said_by([sys.executable, "-c", script])


def clients(url: str, *, rounds: int) -> list[Result]:
    """What it takes to make a client, and what one takes that does nothing."""
    samples: Samples = {name: [] for name in CLIENT}
    for _ in range(rounds):
        for name, own in samples.items():
            own.append(said_by([sys.executable, "-m", "tests.bench.start", name, url]))
    return list(compared("a new client", samples))


def made(make: Callable[[str], object], url: str) -> Sample:
    them = [make(url)]
    gc.collect()
    size, used, started = resident(), cpu(), time.perf_counter()
    them += [make(url) for _ in range(CLIENTS)]
    used, took = cpu() - used, time.perf_counter() - started
    gc.collect()
    size = resident() - size
    return {"CPU": used / CLIENTS, "time": took / CLIENTS, "memory": size / CLIENTS}


def said_by(command: Sequence[str]) -> Sample:
    # What is installed was compiled when it was installed.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    sample: Sample = json.loads(done.stdout)
    return sample


if __name__ == "__main__":
    print(json.dumps(made(CLIENT[sys.argv[1]], sys.argv[2])))
