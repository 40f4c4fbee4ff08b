"""The HTTP side: bytes to use case to bytes."""
