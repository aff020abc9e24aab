"""What a client can do, one file per noun; all methods raise the errors of `studiolo.contract.errors`."""
