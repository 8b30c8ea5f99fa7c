"""A short story about keys, services and a lock: `make demo`.

Each line that is shown is the line that runs. It needs nothing but the package: without another
Consul it is told by the one in memory.
"""

import ast
import inspect
import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import anyio

from consul_onex import ConsulClient, ConsulError
from consul_onex.models.check import Check
from consul_onex.models.service import ServiceRegistration
from consul_onex.recipes import Lock
from consul_onex.testing import FakeAgent
from tests.support.agents import AgentError, dev_agent
from tests.support.consul_binary import ConsulBinaryError

STORY = """\
await c.kv.put("demo/colour", "red")
pair = await c.kv.get("demo/colour")
await c.kv.put("demo/colour", "blue", cas=pair.modify_index)  # nobody was faster
await c.kv.put("demo/colour", "pink", cas=pair.modify_index)  # now somebody was
watch = c.kv.watch("demo/colour")
(await anext(watch)).text()
task = tg.start_soon(c.kv.put, "demo/colour", "gold")  # while the watch is waiting
(await anext(watch)).text()
alive = Check.ttl(15, status="passing")
await c.agent.register(ServiceRegistration(name="demo-web", port=8080, check=alive))
async for found in c.watch(c.health.service, "demo-web", passing=True):
    if found:
        break
[one.service.port for one in found]
async def paint(painter):
    async with Lock(c, "demo/brush"):  # one at a time
        print(painter, "has the brush")
async with anyio.create_task_group() as painters:
    for painter in ("Ada", "Grace"):
        task = painters.start_soon(paint, painter)
"""


@contextmanager
def client(*, real: bool) -> Iterator[ConsulClient]:
    """A client of the Consul that CONSUL_HTTP_ADDR names, of a real one of our own, or of none."""
    if os.environ.get("CONSUL_HTTP_ADDR"):
        c = ConsulClient.from_env()
        print(f"{c!r}\n")
        yield c
    elif real:
        with dev_agent() as agent:
            print(f"A Consul of our own is running at {agent.url}.\n")
            yield ConsulClient(agent.url)
    else:
        print("There is no Consul here: an agent in memory stands in for it.\n")
        yield ConsulClient(transport=FakeAgent())


async def tell(c: ConsulClient) -> None:
    # Names of this run's own: it may be somebody's Consul.
    name = f"demo-{uuid.uuid4().hex[:4]}"
    story = STORY.replace("demo/", f"{name}/").replace("demo-web", f"{name}-web")
    async with c, anyio.create_task_group() as tg:
        registration = {"Check": Check, "ServiceRegistration": ServiceRegistration}
        namespace = {"c": c, "tg": tg, "anyio": anyio, "Lock": Lock, **registration}
        try:
            for statement in ast.parse(story).body:
                await run(statement, story, namespace)
        finally:
            with anyio.CancelScope(shield=True), suppress(ConsulError):
                await c.kv.delete_tree(f"{name}/")
                await c.agent.deregister(f"{name}-web")


async def run(statement: ast.stmt, story: str, namespace: dict[str, object]) -> None:
    lines = story.splitlines()[statement.lineno - 1 : statement.end_lineno]
    print("\n".join(f"{'...' if n else '>>>'} {line}" for n, line in enumerate(lines)))
    only = ast.Interactive([statement])
    code = compile(only, "<demo>", "single", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    result = eval(code, namespace)  # prints, as the prompt would
    if inspect.isawaitable(result):
        await result


def main() -> int:
    failures: list[Exception] = []
    try:
        with client(real="real" in sys.argv) as c:
            anyio.run(tell, c)
    except* (ConsulError, ConsulBinaryError, AgentError) as group:
        failures.extend(group.exceptions)
    for failure in failures:
        print(f"The demo failed. {failure}", file=sys.stderr)
    if not failures:
        print("\nIt has left nothing behind. With a Consul of yours, or a real one of its own:")
        print("    CONSUL_HTTP_ADDR=http://127.0.0.1:8500 make demo")
        print("    make demo CONSUL=real")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
