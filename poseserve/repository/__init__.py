"""What is installed, and every config.pbtxt that follows from it."""
