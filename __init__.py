"""Secaplane: an event-sourced (CQRS) control plane for the Sovereign European Cloud API (SECA)."""
