"""What runs inside a trial."""
