"""The wire, the model and the errors that every part of Remote Claude shares."""
