"""Figures of speed and size, mostly as ratios to bare parts measured in the same run."""
