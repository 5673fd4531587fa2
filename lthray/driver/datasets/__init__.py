"""Data sets: read once by the driver, from files or a download, as the plain arrays that workers get."""

from lthray.driver.datasets.reading import is_own, look, read, start_reading

__all__ = ["is_own", "look", "read", "start_reading"]
