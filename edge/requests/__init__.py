"""Reading a request: context, origin, path, body, rate limits."""
