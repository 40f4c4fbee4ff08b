"""Metrics, traces and logs. Any package may import it; it imports none but the settings."""
