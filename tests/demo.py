"""A short story about keys, told by a real Consul: `make demo`.

Each line that is shown is the line that runs. It needs the package and a Consul, nothing else.
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
from tests.support.agents import AgentError, dev_agent
from tests.support.consul_binary import ConsulBinaryError

STORY = """\
await c.kv.put("demo/colour", "red")
pair = await c.kv.get("demo/colour")
pair
await c.kv.put("demo/colour", "blue", cas=pair.modify_index)  # nobody was faster
await c.kv.put("demo/colour", "pink", cas=pair.modify_index)  # now somebody was
await c.kv.put_json("demo/size", {"width": 3})
[pair.key for pair in await c.kv.list("demo/")]
watch = c.kv.watch("demo/colour")
(await anext(watch)).text()
task = tg.start_soon(c.kv.put, "demo/colour", "gold")  # while the watch is waiting
(await anext(watch)).text()
"""


@contextmanager
def client() -> Iterator[ConsulClient]:
    """A client of the Consul that CONSUL_HTTP_ADDR names, else of one of our own."""
    if os.environ.get("CONSUL_HTTP_ADDR"):
        c = ConsulClient.from_env()
        print(f"{c!r}\n")
        yield c
        return
    with dev_agent() as agent:
        print(f"A Consul of our own is running at {agent.url}.\n")
        yield ConsulClient(agent.url)


async def tell(c: ConsulClient) -> None:
    # A folder of this run's own: it may be somebody's Consul.
    story = STORY.replace("demo/", f"demo-{uuid.uuid4().hex[:4]}/")
    folder = story.split('"')[1].partition("/")[0] + "/"
    async with c, anyio.create_task_group() as tg:
        namespace = {"c": c, "tg": tg}
        try:
            for line in story.splitlines():
                print(">>>", line)
                code = compile(line, "<demo>", "single", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
                result = eval(code, namespace)  # prints, as the prompt would
                if inspect.isawaitable(result):
                    await result
        finally:
            with anyio.CancelScope(shield=True), suppress(ConsulError):
                await c.kv.delete_tree(folder)


def main() -> int:
    failures: list[Exception] = []
    try:
        with client() as c:
            anyio.run(tell, c)
    except* (ConsulError, ConsulBinaryError, AgentError) as group:
        failures.extend(group.exceptions)
    for failure in failures:
        print(f"The demo failed. {failure}", file=sys.stderr)
    if not failures:
        print("\nIts keys are deleted. With a Consul of yours:")
        print("    CONSUL_HTTP_ADDR=http://127.0.0.1:8500 make demo")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
