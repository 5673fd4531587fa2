"""What is asked for: trajectories, searches, and the sweep file."""
