"""Random data keys: what they are for, how they are wrapped, stored, cached and destroyed."""
