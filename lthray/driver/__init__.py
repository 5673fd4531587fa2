"""The driver of a sweep: what is missing, on which cluster, in which trials. Ray is known here alone."""
