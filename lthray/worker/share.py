"""A trial's share of a machine."""

import torch


def take_share(threads: int, gpus: float) -> torch.device:
    """Limits this process to a trial's share of the machine, and returns the device to use.

    Args:
        threads: CPU threads to use.
        gpus: Share of a GPU, or a number of GPUs; 0, or no GPU that torch finds, means the CPU.
    """
    torch.set_num_threads(threads)
    if not gpus or not torch.cuda.is_available():
        return torch.device("cpu")
    if gpus < 1:  # A trial that takes more than its share fails alone, and its neighbours on the GPU go on.
        torch.cuda.set_per_process_memory_fraction(gpus)
    return torch.device("cuda")
