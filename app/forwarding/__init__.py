"""Requests for a connection that another replica has: both ends of the way between replicas."""
