"""Authentication (`tokens`), authorization (`grants`), and the watch that keeps both in step with
the log (`watch`)."""
