"""Workloads as containers of Podman or Docker on this machine."""
