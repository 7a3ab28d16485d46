"""Time stamps of an authority (RFC 3161) on checkpoints."""
