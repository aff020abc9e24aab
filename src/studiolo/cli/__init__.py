"""The command line, thin over the SDK. `table` lists the commands; nothing heavy is imported before one runs."""
