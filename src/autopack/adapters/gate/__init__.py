"""The gate's checks that need more than policy, and how those of a project are found."""
