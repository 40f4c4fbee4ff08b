"""The documents of the API, generated from the models that validate requests."""
