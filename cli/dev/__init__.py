"""`secaplane dev`: a supervisor of all processes, with embedded NATS and PostgreSQL."""
