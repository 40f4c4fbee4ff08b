"""Forwards requests to the replica that owns their connection: the sending and the receiving end."""
