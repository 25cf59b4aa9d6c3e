"""The tests, one folder a room; what concerns the whole project stands beside this file."""
