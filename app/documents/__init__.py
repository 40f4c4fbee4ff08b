"""The documents of the API, made from the models that the code validates with."""
