"""Connections to Redis: topologies, batching, pub/sub and an embedded server. It does not know sessions."""
