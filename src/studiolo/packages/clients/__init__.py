"""What each tool that installs packages is told, so that it asks our index: pip, uv, poetry, pdm, conda, mamba, pixi.

These are defaults and no walls: a tool that is given another index on its command line goes there. What holds is said
in docs/explanation/what-policy-enforces.md.
"""
