"""One replica: assembly of its parts, its ports, its drain and the life of its process."""
