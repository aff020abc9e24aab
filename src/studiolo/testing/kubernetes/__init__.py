"""A Kubernetes API of our own for tests: answers as the real one does, and runs pods as it is told to."""
