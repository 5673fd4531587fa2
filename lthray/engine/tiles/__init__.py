"""Networks on tiles of images, compiled by numba: how a CPU trains and evaluates the networks that the kernels know."""
