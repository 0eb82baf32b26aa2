"""Payment providers behind one interface: see provider.py."""
