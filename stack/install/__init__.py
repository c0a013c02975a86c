"""What has to be on the machine before anything starts: packages, the environment, what is built in it."""
