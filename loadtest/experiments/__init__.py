"""Measurements: what the server costs, where its time goes, and what it is compared with."""
