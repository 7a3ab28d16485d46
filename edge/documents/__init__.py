"""Documents served without a token: OpenAPI, its viewer, and the well-known document."""
