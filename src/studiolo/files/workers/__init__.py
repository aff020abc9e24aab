"""Work on foreign content, each piece in a process of its own that may be lost, with limits that the kernel keeps."""
