"""Kernels: who may start and reach them, and the record of those that were."""
