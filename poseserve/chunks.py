"""How many people a network works on at once: more of them go in chunks, and the server's batches aim at as many.

Apart from the catalogue, so that networks (contracts.py) need nothing but torch.
"""

CPU_ROWS, GPU_ROWS = 8, 16
