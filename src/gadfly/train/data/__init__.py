"""Data to learn from: read as if an enemy had written it, checked, taken in, divided, shown. Knows no torch."""
