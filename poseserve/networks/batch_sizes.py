"""How many rows a network works on at once: more of them go in chunks, and the server's batches aim at as many.

Apart from the catalogue, so that networks (contracts.py) need nothing but torch.
"""

CPU_ROWS, GPU_ROWS = 8, 16
# Of maps in the size of the input: there is one for every class, so that of large inputs a few rows fill the memory.
CPU_PIXELS, GPU_PIXELS = 1024 * 768, 4 * 1024 * 768


def map_rows(height: int, width: int) -> tuple[int, int]:
    """Rows on a CPU and on a GPU, of a network that answers inputs of that size with maps."""
    cpu, gpu = (pixels // (height * width) for pixels in (CPU_PIXELS, GPU_PIXELS))
    return min(max(cpu, 1), CPU_ROWS), min(max(gpu, 1), GPU_ROWS)
