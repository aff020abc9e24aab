"""Kubernetes: a pod per launch, made by pure functions and known from one watch."""
