"""What the tests need around them: a real Consul, and fakes of what is not Consul."""
