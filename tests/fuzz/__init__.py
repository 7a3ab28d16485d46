"""Fuzzing of the HTTP API with schemathesis (`make fuzz`)."""
