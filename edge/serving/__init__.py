"""The HTTP server: application, health, metrics, static responses."""
