"""
The ONEX platform's own words for Consul, as a facade over `ConsulClient`.

Code that was written against `omnibase_infra` runs with one change, `omnibase_infra` becomes
`consul_onex.onex`:

    handlers                     HandlerConsul, and service discovery
    handlers.models              what the handler answers with
    handlers.models.consul       its configuration, and what goes in and out of each operation
    errors, enums, mixins        the platform's errors, their contexts, its circuit breaker
    consul                       the few names that code took from the old client library

Nothing here speaks HTTP, repeats a request or counts failures: all of that is the client's.
"""
