# /// script
# requires-python = ">=3.11"
# dependencies = ["consul-onex"]
# ///
"""Back up all that the servers know to a file, and see later whether the file is still whole."""

from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from consul_onex import ConsulClient, InvalidRequestError, SnapshotInfo, verify_snapshot


async def back_up(path: Path) -> SnapshotInfo:
    async with ConsulClient.from_env() as c:
        # It is checked on its way, and takes its place when it is whole and on the disk. It holds
        # every secret of the cluster: only its owner can read it.
        return await c.snapshot.save(path)


with TemporaryDirectory() as directory:
    backup = Path(directory, "consul.snap")
    saved = anyio.run(back_up, backup)
    print("saved: what", len(saved.configuration.servers), "server knows")

    # Later, and without a Consul.
    print("whole:", verify_snapshot(backup) == saved)
    backup.write_bytes(backup.read_bytes()[:-100])
    try:
        verify_snapshot(backup)  # as c.snapshot.restore does, before anything is sent
    except InvalidRequestError as error:
        print("not whole:", error)
