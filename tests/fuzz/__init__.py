"""How fast the house is, as ratios against bare parts measured in the same run."""
