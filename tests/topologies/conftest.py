from tests.harness.world import api, fresh_topology, world

__all__ = ["api", "fresh_topology", "world"]
