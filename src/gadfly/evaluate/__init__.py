"""How fast, how good: measurements that a user can repeat."""
