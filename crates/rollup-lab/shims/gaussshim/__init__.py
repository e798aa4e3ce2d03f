"""Stand-ins for the tools of openGauss and GaussDB over a real PostgreSQL 15. For labs only; see README.md."""
