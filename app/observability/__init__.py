"""Metrics, traces and logs. Any package may call it; it calls none."""
