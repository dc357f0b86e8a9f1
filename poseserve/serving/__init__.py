"""A Triton that serves the repositories: started, watched, told of changes."""
