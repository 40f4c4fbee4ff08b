"""Webhooks: what happens to sessions is sent to a receiver."""
