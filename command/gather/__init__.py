"""Loading of what a rule looks at, before it is asked."""
