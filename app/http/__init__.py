"""The HTTP API: routes that parse a request, call a use case and format its result."""
