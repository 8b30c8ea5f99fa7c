"""That an agent is there: the server of its datacenter, which leads, and a member of its pool."""

from __future__ import annotations

from typing import Final
from uuid import uuid4

from . import _catalog
from ._definitions import check_row, service_row
from ._http import Answer, Asked, RefusedError, Router, options_of
from ._server import Server
from ._state import Row

__all__ = ["Presence"]

_VERSION: Final = "1.8.7"
_ADDRESS: Final = "127.0.0.1"
_SERVER_PORT: Final = 8300
_GOSSIP_PORT: Final = 8301
_WAN_PORT: Final = 8302

_NO_SEGMENTS: Final = "Network segments are not supported in this version of Consul"


class Presence:
    """`/v1/status/`, and what an agent says of itself and of the servers; it is the only one."""

    def __init__(self, server: Server, node: str, *, guarded: bool = False) -> None:
        self._server = server
        self._guarded = guarded
        self.node = node
        self.id = str(uuid4())
        self.raft_address = f"{_ADDRESS}:{_SERVER_PORT}"
        self._join()

    @property
    def row(self) -> Row:
        """Its node, as it stands in the catalog."""
        return {
            "ID": self.id,
            "Node": self.node,
            "Address": _ADDRESS,
            "Datacenter": self._server.datacenter,
            "TaggedAddresses": dict.fromkeys(("lan", "lan_ipv4", "wan", "wan_ipv4"), _ADDRESS),
            "Meta": {"consul-network-segment": ""},
        }

    def open(self, router: Router) -> None:
        router.add("GET", "/v1/status/leader", self.leader)
        router.add("GET", "/v1/status/peers", self.peers)
        router.add("GET", "/v1/operator/raft/configuration", self.raft)
        router.add("GET", "/v1/agent/self", self.self)
        router.add("GET", "/v1/agent/members", self.members)

    def _join(self) -> None:
        """Be in the catalog, as a server that leads is."""
        node = self.row
        meta = {
            "non_voter": "false",
            "raft_version": "3",
            "serf_protocol_current": "2",
            "serf_protocol_max": "5",
            "serf_protocol_min": "1",
            "version": _VERSION,
        }
        consul = service_row({"Port": _SERVER_PORT, "Meta": meta}, "consul")
        serf = check_row(
            self.node,
            "serfHealth",
            Name="Serf Health Status",
            Status="passing",
            Output="Agent alive and reachable",
        )
        state = self._server.state
        # The leader writes the node of a server down, and the server then adds what it knows.
        state.index = 10
        bare = {**node, "TaggedAddresses": None, "Meta": None}
        _catalog.register(state, self.node, bare, consul, [serf])
        state.index = 12
        _catalog.register(state, self.node, node, None, [])

    async def leader(self, asked: Asked) -> Answer:
        self._server.refuse_elsewhere(asked.param("dc"))
        return Answer.json(self.raft_address if self._server.leading else "")

    async def peers(self, asked: Asked) -> Answer:
        self._server.refuse_elsewhere(asked.param("dc"))
        return Answer.json([self.raft_address])

    async def raft(self, asked: Asked) -> Answer:
        await self._server.ready(options_of(asked))
        self._server.rights(asked).need("read", "operator")
        mine = {
            "ID": self.id,
            "Node": self.node,
            "Address": self.raft_address,
            "Leader": self._server.leading,
            "ProtocolVersion": "3",
            "Voter": True,
        }
        return Answer.json({"Servers": [mine], "Index": 0})

    async def self(self, asked: Asked) -> Answer:
        self._server.rights(asked).need("read", "agent", self.node)
        config = {
            "Datacenter": self._server.datacenter,
            "NodeName": self.node,
            "NodeID": self.id,
            "Revision": "",
            "Server": True,
            "Version": _VERSION,
        }
        return Answer.json(
            {
                "Config": config,
                "DebugConfig": {"ACLsEnabled": self._guarded},
                "Coord": {"Vec": [0] * 8, "Error": 1.5, "Adjustment": 0, "Height": 0.00001},
                "Member": self._member(),
                "Stats": {
                    "build": {"prerelease": "", "revision": "", "version": _VERSION},
                    "consul": {
                        "known_datacenters": str(len(self._server.known)),
                        "leader": str(self._server.leading).lower(),
                        "server": "true",
                    },
                },
                "Meta": {"consul-network-segment": ""},
            }
        )

    async def members(self, asked: Asked) -> Answer:
        if asked.param("segment") not in {"", "_all"}:
            raise RefusedError(500, _NO_SEGMENTS)
        rights = self._server.rights(asked)
        member = self._member(wan=bool(asked.param("wan")))
        return Answer.json([member] if rights.may("read", "node", member["Name"]) else [])

    def _member(self, *, wan: bool = False) -> Row:
        return {
            "Name": f"{self.node}.{self._server.datacenter}" if wan else self.node,
            "Addr": _ADDRESS,
            "Port": _WAN_PORT if wan else _GOSSIP_PORT,
            "Tags": {
                "build": f"{_VERSION}:",
                "dc": self._server.datacenter,
                "id": self.id,
                "port": str(_SERVER_PORT),
                "role": "consul",
            },
            "Status": 1,
            "ProtocolMin": 1,
            "ProtocolMax": 5,
            "ProtocolCur": 2,
            "DelegateMin": 2,
            "DelegateMax": 5,
            "DelegateCur": 4,
        }
