"""Where workloads run: one folder per engine behind the interface of `base`."""
