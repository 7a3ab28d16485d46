"""Who you are, what you may."""
