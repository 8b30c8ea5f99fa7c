"""What `HandlerConsul` is made of: a life, keys, services, topics."""

from __future__ import annotations

from .mixin_consul_initialization import MixinConsulInitialization
from .mixin_consul_kv import MixinConsulKV
from .mixin_consul_service import MixinConsulService
from .mixin_consul_topic_index import MixinConsulTopicIndex

__all__ = [
    "MixinConsulInitialization",
    "MixinConsulKV",
    "MixinConsulService",
    "MixinConsulTopicIndex",
]
