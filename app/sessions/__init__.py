"""The domain: sessions, participants, movies, ratings, and one method a use case. No I/O."""
