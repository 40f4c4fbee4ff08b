"""One replica: its parts put together, its ports, its drain, the life of the process."""
