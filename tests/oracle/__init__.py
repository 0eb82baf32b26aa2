"""What the ledger should do, in plain Python written from the specification, and a driver for what it does."""
