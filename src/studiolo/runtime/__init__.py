"""What runs beside people's code: fork server, shim, notebook server and its extension.

Imports only the standard library and Jupyter, so that it can live in any environment.
"""
