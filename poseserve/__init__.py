"""Human perception on Triton Inference Server: the server's side."""
