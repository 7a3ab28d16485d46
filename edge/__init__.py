"""The HTTP layer that command and query share: requests, guard, problems, server, documents."""
