"""From an official place to weights in memory: fetched, checked, read without running code of the file."""
