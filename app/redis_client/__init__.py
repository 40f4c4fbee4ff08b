"""Connections to Redis: topologies, batching, pub/sub and an embedded server. Knows no session."""
