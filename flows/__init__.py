"""When things happen: Prefect flows, thin tasks, and the command line `ferline`."""
