"""The domain: sessions, participants, movies and ratings, with one method for each use case. No I/O."""
