"""The read side: GET and LIST, answered from the read model alone (CQRS)."""
