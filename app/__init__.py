"""Join Session: create, join and rate in a shared session over HTTP and Socket.IO."""

__version__ = "0.1.0"
