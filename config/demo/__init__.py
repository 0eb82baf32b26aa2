"""A believable tenant with customers, prices and a month of usage, made through the same services as real ones."""
