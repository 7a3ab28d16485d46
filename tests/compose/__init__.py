"""The production layout, started for real: a container engine of its own, stand-ins for the base
images, `docker compose`, and faults under load. Run by `make compose-test`, not by pytest."""
