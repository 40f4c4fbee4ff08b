"""On a busy machine any example may take long, which says nothing about the code."""

from hypothesis import HealthCheck, settings

settings.register_profile("tests", deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")
