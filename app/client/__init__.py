"""A client of the service over HTTP and Socket.IO, and a load generator that verifies what it receives."""
