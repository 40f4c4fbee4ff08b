"""The Socket.IO API: event handlers, rooms, membership and presence."""
