"""Starting kernels that outlive their host."""
