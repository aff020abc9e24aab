"""The platform: control plane, front door's question, pages, supervisor."""
