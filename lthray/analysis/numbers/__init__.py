"""The numbers behind the report, as pure functions of frames."""
