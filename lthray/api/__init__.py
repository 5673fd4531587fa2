"""lthray from Python: sweep, plan, evaluate, and read results with their networks.

The package `lthray` has these functions by their names, and the command line calls the same ones. They work in a
script, in a notebook, in a thread, and where Ray already runs.
"""
