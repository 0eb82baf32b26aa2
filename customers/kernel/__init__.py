"""What everybody shares because everybody has a tenant: identifiers, time, callers, the database edge."""
