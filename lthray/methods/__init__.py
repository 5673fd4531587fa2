"""What a researcher adds to: attacks, strategies, criteria, networks, data sets. Importable without torch."""
