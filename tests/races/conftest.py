from tests.harness.world import api, world

__all__ = ["api", "world"]
