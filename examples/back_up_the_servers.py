# /// script
# requires-python = ">=3.11"
# dependencies = ["consul-onex"]
# ///
"""Back up all that the servers know to a file, and see later whether the file is still whole."""

from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from consul_onex import ConsulClient, InvalidRequestError, verify_snapshot


async def back_up(path: Path) -> None:
    async with ConsulClient.from_env() as c:
        # It is checked on its way, and takes its place when it is whole and on the disk.
        saved = await c.snapshot.save(path)
        print("saved:", [server.suffrage for server in saved.configuration.servers])


def look_at(path: Path) -> None:
    try:
        print("whole:", verify_snapshot(path).size > 0)  # what it says of itself, once checked
    except InvalidRequestError as error:
        print(error)


with TemporaryDirectory() as directory:
    backup = Path(directory, "consul.snap")
    anyio.run(back_up, backup)
    look_at(backup)

    damaged = Path(directory, "damaged.snap")
    damaged.write_bytes(backup.read_bytes()[:-100])
    look_at(damaged)  # c.snapshot.restore would refuse it as well, before anything is sent
