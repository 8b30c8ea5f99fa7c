"""Consul's HTTP API, one file per endpoint prefix."""
