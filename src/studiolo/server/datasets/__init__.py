"""Datasets: folders of the machine that sessions may read."""
