"""Admin partitions of Consul Enterprise."""

from __future__ import annotations

from typing import Final

from pydantic import TypeAdapter

from .._call import Safety
from .._path import segment
from .._wire import Takes, Wire
from ..models._base import rows_of
from ..models.partition import Partition

__all__ = ["Partitions"]

# Inside the class, `list` is the method of that name.
Rows = list[Partition]

_ROW: Final = TypeAdapter(Partition)
_ROWS: Final = rows_of(Partition)

# A partition is in no partition.
_READ: Final = Takes.DATACENTER | Takes.CONSISTENCY


class Partitions:
    """
    Admin partitions of Consul Enterprise.

    Servers of another edition raise UnsupportedEndpointError.

    https://developer.hashicorp.com/consul/api-docs/admin-partitions
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def create(self, partition: Partition) -> Partition:
        """
        Create a partition, and return it as it is now.

        PUT /v1/partition  since Consul 1.11 Enterprise
        https://developer.hashicorp.com/consul/api-docs/admin-partitions#create-a-partition
        """
        return await self._wire.write(
            "partition.create",
            "PUT",
            "/v1/partition",
            _ROW,
            json=partition.body(),
            takes=Takes.DATACENTER,
        )

    async def get(self, name: str) -> Partition | None:
        """
        Read one partition. None where there is none.

        GET /v1/partition/:name  since Consul 1.11 Enterprise
        https://developer.hashicorp.com/consul/api-docs/admin-partitions#read-a-partition
        """
        return await self._wire.find(
            "partition.get",
            f"/v1/partition/{segment(name)}",
            _ROW,
            unless="not found",
            takes=_READ,
        )

    async def update(self, partition: Partition) -> Partition:
        """
        Write over the partition of that name, and return it as it is now.

        PUT /v1/partition/:name  since Consul 1.11 Enterprise
        https://developer.hashicorp.com/consul/api-docs/admin-partitions#update-a-partition
        """
        return await self._wire.write(
            "partition.update",
            "PUT",
            f"/v1/partition/{segment(partition.name)}",
            _ROW,
            json=partition.body(),
            safety=Safety.IDEMPOTENT,
            takes=Takes.DATACENTER,
        )

    async def delete(self, name: str) -> None:
        """
        Mark a partition for deletion, with all that is in it.

        DELETE /v1/partition/:name  since Consul 1.11 Enterprise
        https://developer.hashicorp.com/consul/api-docs/admin-partitions#delete-a-partition
        """
        await self._wire.ask(
            "partition.delete",
            "DELETE",
            f"/v1/partition/{segment(name)}",
            safety=Safety.IDEMPOTENT,
            takes=Takes.DATACENTER,
        )

    async def list(self) -> Rows:
        """
        Every partition.

        GET /v1/partitions  since Consul 1.11 Enterprise
        https://developer.hashicorp.com/consul/api-docs/admin-partitions#list-all-partitions
        """
        return await self._wire.read("partition.list", "/v1/partitions", _ROWS, takes=_READ)
