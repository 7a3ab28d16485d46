"""Events that a log has lost: holes in its sequence, and what is done about them."""
