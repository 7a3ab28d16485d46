"""Authorization: roles and role assignments become decisions."""
