"""PostgreSQL, by URL or carried by the package."""
