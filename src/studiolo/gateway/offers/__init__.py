"""Which kernels can be had: kernelspecs from environments."""
