"""From a family and a state dict to the network in the contract of its task."""
