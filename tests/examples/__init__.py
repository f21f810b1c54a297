"""The examples, run by the frameworks that they are for."""
