"""What a user reads: results, errors, help, completion and what to type next."""
