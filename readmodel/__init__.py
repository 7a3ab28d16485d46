"""What the tables are, and the few questions asked of them."""
