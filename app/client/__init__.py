"""A client of the service: HTTP and Socket.IO as anybody speaks them, and a load that checks all it is told."""
