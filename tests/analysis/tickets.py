"""Tickets made up: random masks in files as a sweep would leave them."""

import numpy as np
from safetensors.numpy import save_file

from tests.analysis import synthetic

SHAPES = {"hidden_1": (4, 5), "hidden_2": (3, 4), "output": (2, 3)}


def random_masks(seed: int, density: float) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(seed)
    return {name: (draw.random(shape) < density).astype(np.uint8) for name, shape in SHAPES.items()}


def tensors(found: dict[str, np.ndarray], prefix: str = "") -> dict[str, np.ndarray]:
    weights = {f"{prefix}{name}.weight": np.ones(mask.shape, np.float32) for name, mask in found.items()}
    return weights | {f"{prefix}{name}.mask": mask for name, mask in found.items()}


def with_tickets(folder, trajectories, rounds=2):
    """A results folder whose trajectories have random masks, and these by trajectory and round."""
    synthetic.write(folder, trajectories)
    made = {}
    for place, trajectory in enumerate(trajectories):
        name = trajectory["trajectory_id"].iloc[0]
        (folder / "tickets" / name).mkdir(parents=True)
        for number in range(rounds + 1):
            made[name, number] = random_masks(100 * place + number, 0.8**number)
            save_file(tensors(made[name, number]), folder / "tickets" / name / f"round-{number:02d}.safetensors")
    return folder, made
