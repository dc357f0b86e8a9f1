"""The architectures, one file a family, each with its record FAMILY (family.py)."""
