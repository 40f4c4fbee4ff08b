"""Measures the service against its peers: ``make bench``, see docs/benchmarks.md."""
