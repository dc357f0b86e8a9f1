"""From a network in its contract to the file that Triton serves."""
