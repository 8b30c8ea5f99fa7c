"""A walk past every method of the API: what it sends, to the letter. One file of cases per area."""
