"""Documents that are served without a token: OpenAPI, its viewer, well-known."""
