"""The kernel host: kernels that any client can ask for and talk to, and whose output is kept."""
