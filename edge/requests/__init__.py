"""Reading a request: its context, its origin, its path, its body, its rate."""
