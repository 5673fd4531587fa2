"""The maths of a trajectory: torch, but no Ray and no files."""
