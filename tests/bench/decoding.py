"""
What it takes to make models of bytes, beside `json.loads`: `python -m tests.bench.decoding ROUNDS`.

In a process of its own: what else lies in memory, the garbage collector would look through too.
"""

import gc
import json
import random
import subprocess
import sys
import time
import tracemalloc
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any, Final

from pydantic import TypeAdapter

from consul_onex import KVPair, ServiceEntry, ServiceInstance
from consul_onex.models._base import rows_of
from tests.bench.measure import Result, Sample, Samples, compared, cpu

JSON: Final = "json.loads"
ENTRIES: Final = "ServiceEntry"
INSTANCES: Final = "ServiceInstance"
PAIRS: Final = "KVPair"

SIZES: Final = (10, 1_000, 10_000)

Decode = Callable[[bytes], object]


def entry(number: int) -> dict[str, Any]:
    """An instance with two checks, as Consul 1.8.7 tells of it."""
    node, address = f"node-{number}", f"10.1.{number // 256}.{number % 256}"
    name, indexes = f"web-{number}", {"CreateIndex": 10 + number, "ModifyIndex": 12 + number}

    def check(which: str, **more: Any) -> dict[str, Any]:
        return {
            "Node": node,
            "CheckID": which,
            "Name": f"Service '{which}' check",
            "Status": "passing",
            "Notes": "",
            "Output": "HTTP GET http://localhost/health: 200 OK Output: fine",
            "ServiceID": "",
            "ServiceName": "",
            "ServiceTags": [],
            "Type": "",
            "Definition": {},
            **indexes,
            **more,
        }

    return {
        "Node": {
            "ID": f"40e4a748-2192-161a-0510-{number:012}",
            "Node": node,
            "Address": address,
            "Datacenter": "dc1",
            "TaggedAddresses": dict.fromkeys(["lan", "lan_ipv4", "wan", "wan_ipv4"], address),
            "Meta": {"consul-network-segment": ""},
            **indexes,
        },
        "Service": {
            "ID": name,
            "Service": "web",
            "Tags": ["primary", "v1.2.3"],
            "Address": address,
            "TaggedAddresses": {
                "lan_ipv4": {"Address": address, "Port": 8000},
                "wan_ipv4": {"Address": address, "Port": 8000},
            },
            "Meta": {"version": "4.0"},
            "Port": 8000,
            "Weights": {"Passing": 1, "Warning": 1},
            "EnableTagOverride": False,
            "Proxy": {"MeshGateway": {}, "Expose": {}},
            "Connect": {},
            **indexes,
        },
        "Checks": [
            check("serfHealth"),
            check(name, ServiceID=name, ServiceName="web", ServiceTags=["primary"], Type="http"),
        ],
    }


def pair(number: int) -> dict[str, Any]:
    return {
        "LockIndex": 0,
        "Key": f"bench/tree/{number}",
        "Flags": 0,
        "Value": b64encode(b"x" * 64).decode(),
        "CreateIndex": 10,
        "ModifyIndex": 12 + number,
    }


def decoding(*, rounds: int) -> list[Result]:
    command = [sys.executable, "-m", "tests.bench.decoding", str(rounds)]
    said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    samples: dict[str, Samples] = json.loads(said)
    return [row for what, them in samples.items() for row in compared(what, them, reference=JSON)]


def measured(rounds: int) -> Iterator[tuple[str, Samples]]:
    entries: TypeAdapter[Any] = rows_of(ServiceEntry)
    instances: TypeAdapter[Any] = rows_of(ServiceInstance)
    pairs: TypeAdapter[Any] = rows_of(KVPair)
    for size in SIZES:
        content = json.dumps([entry(number) for number in range(size)]).encode()
        them: dict[str, Decode] = {
            ENTRIES: entries.validate_json,
            INSTANCES: instances.validate_json,
            JSON: json.loads,
        }
        yield f"health of {size:,} entries", in_turns(them, content, rounds)
    content = json.dumps([pair(number) for number in range(SIZES[-1])]).encode()
    them = {PAIRS: pairs.validate_json, JSON: json.loads}
    yield f"{SIZES[-1]:,} keys, values decoded", in_turns(them, content, rounds)


def in_turns(them: dict[str, Decode], content: bytes, rounds: int) -> Samples:
    samples: dict[str, list[Sample]] = {name: [] for name in them}
    memory = {name: kept(decode, content) for name, decode in them.items()}
    times = max(1, 1_000_000 // len(content))
    for _ in range(rounds):
        for name in random.sample(list(them), len(them)):
            gc.collect()
            used, started = cpu(), time.perf_counter()
            for _ in range(times):
                them[name](content)
            used, took = cpu() - used, time.perf_counter() - started
            samples[name].append({"CPU": used / times, "time": took / times, **memory[name]})
    return samples


def kept(decode: Decode, content: bytes) -> Sample:
    """Bytes that what was decoded takes, and the most that it took until then."""
    decode(content)  # builds what is built once
    gc.collect()
    tracemalloc.start()
    decoded = decode(content)
    size, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del decoded
    return {"memory": size, "peak": peak}


if __name__ == "__main__":
    print(json.dumps(dict(measured(int(sys.argv[1])))))
