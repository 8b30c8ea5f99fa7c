"""How the package looks to a type checker; nothing here is run."""
